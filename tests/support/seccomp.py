"""System calls that a filter denies to this process and to what it starts (seccomp(2))."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # bpf_common.h: LD|W|ABS, JMP|JEQ|K, RET|K
ALLOW, ERRNO = 0x7FFF0000, 0x00050000

_EVERYWHERE = {"pidfd_send_signal": 424, "pidfd_open": 434}
# The numbers of the calls on each machine (syscalls(2)), as the C library makes them: eventfd(3) is
# ``eventfd2``, and poll(2) is ``ppoll`` on aarch64.
CALLS: dict[str, dict[str, int]] = {
    "x86_64": {
        "getpgid": 121,
        "getsid": 124,
        "waitid": 247,
        "eventfd": 290,
        "poll": 7,
        **_EVERYWHERE,
    },
    "aarch64": {
        "getpgid": 155,
        "getsid": 156,
        "waitid": 95,
        "eventfd": 19,
        "poll": 73,
        **_EVERYWHERE,
    },
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def is_supported() -> bool:
    """Whether filters can be installed: a fork tries, and its exit code says so."""
    if platform.machine() not in CALLS or not hasattr(os, "fork"):
        return False
    pid = os.fork()
    if not pid:
        try:
            deny("getsid", 0)
        finally:
            os._exit(0)
    return not os.waitpid(pid, 0)[1]


def deny(call: str, error: int) -> None:
    """Let a system call fail with this errno from now on, in all that this thread starts."""
    number = CALLS[platform.machine()][call]
    steps = [
        (LOAD, 0, 0, 0),  # the number of the call is the first field of struct seccomp_data
        (JUMP_IF_EQUAL, 0, 1, number),
        (RETURN, 0, 0, ERRNO | error),
        (RETURN, 0, 0, ALLOW),
    ]
    program = _Program(len(steps), b"".join(struct.pack("=HBBI", *step) for step in steps))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
