"""Process descriptors (pidfd_open(2)): each stands for a single process, not for its number."""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import select
import signal
import struct
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

PIDFD_GET_INFO = 0xC040FF0B
"""An ioctl of Linux 6.13 with a struct of 64 bytes (include/uapi/linux/pidfd.h)."""
PIDFD_INFO_EXIT = 1 << 3
"""Asks for the exit status, which is there once the process was reaped (Linux 6.15)."""
PIDFD_SIGNAL_PROCESS_GROUP = 1 << 2
"""Sends a signal to the process group that this process leads (Linux 6.9)."""
REAPED_WITHIN = 1.0  # seconds for a thread that reaps a child: its exit status comes a moment later
_INFO = struct.Struct("=QQIII8Ii")
_NO_PROCESS = {errno.ESRCH, errno.ENOENT, errno.EINVAL}  # the last two: a thread id, by kernel


class Info(NamedTuple):
    """Parent and exit status of a process; the status is None until it was reaped."""

    ppid: int
    status: int | None


def supported() -> bool:
    """Whether this kernel and this Python have process descriptors, and can wait for them."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        return False
    # No process has number 0, and eventfd(2) no flags -1: the checks need no free descriptor.
    return _refuses(os.pidfd_open, 0) and _refuses(os.eventfd, 0, -1) and _polls()


def _refuses(call: Callable[..., object], *arguments: int) -> bool:
    """Whether the kernel has the call: it refuses the arguments, and not the call itself."""
    try:
        call(*arguments)
    except OSError as error:  # ENOSYS before Linux 5.3, EPERM under some seccomp filters
        return error.errno == errno.EINVAL
    return False


def _polls() -> bool:
    try:
        readable([], 0)
    except OSError:
        return False
    return True


def signals() -> bool:
    """Whether signals may be sent through descriptors: a seccomp filter may answer EPERM."""
    try:
        signal.pidfd_send_signal(-1, 0)
    except OSError as error:
        return error.errno == errno.EBADF  # the kernel's own answer for -1
    return False


def open(pid: int) -> int | None:  # noqa: A001 - read as pidfd.open
    """Open the process that has this number now; None where there is none."""
    try:
        return os.pidfd_open(pid)
    except OverflowError:  # wider than any pid of Linux
        return None
    except OSError as error:
        if error.errno in _NO_PROCESS:
            return None
        raise


def inode(fd: int) -> int | None:
    """Return the inode, unique among the processes of this boot; None before Linux 6.9."""
    # Before, all descriptors share an anonymous inode, which is on a device of its own.
    found = os.fstat(fd)
    return found.st_ino if found.st_dev != _anonymous() else None


@functools.cache
def _anonymous() -> int:
    """Return the device of the anonymous inode."""
    fd = os.eventfd(0)
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)


def readable(fds: Iterable[int], milliseconds: float | None) -> list[int]:
    """Wait until a descriptor is readable; return those that are: their processes are dead."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(milliseconds)]


def info(fd: int) -> Info | None:
    """Return parent and exit status; None where the kernel does not say (any more)."""
    request = bytearray(_INFO.size)
    request[:8] = PIDFD_INFO_EXIT.to_bytes(8, "little")
    try:
        fcntl.ioctl(fd, PIDFD_GET_INFO, request)
    except OSError:  # ENOTTY before 6.13; ESRCH once it was reaped, before 6.15
        return None
    fields = _INFO.unpack(request)
    return Info(fields[4], fields[-1] if fields[0] & PIDFD_INFO_EXIT else None)


def reaped_code(fd: int) -> int | None:
    """Return the exit code of a child of ours that waitid(2) has not; None if it is unknown."""
    found = info(fd)
    if found is not None and found.status is None:
        poll = select.poll()  # it is being reaped: release_task (kernel/exit.c) has not finished
        poll.register(fd, 0)  # POLLHUP: it has no number any more (Linux 6.9)
        poll.poll(REAPED_WITHIN * 1000)
        found = info(fd)
    if found is None or found.status is None:
        return None
    return os.waitstatus_to_exitcode(found.status)
