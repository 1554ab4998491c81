"""Which program a process runs: execve(2) replaces it, and keeps the pid and the start."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..._models.identity import Image
from ..machine import digest, optional
from . import procfs

_ctypes = optional("ctypes")

AT_RANDOM, RANDOM_BYTES = 25, 16
"""The entry of getauxval(3) with the address of bytes that are random in each program image."""


def image(pid: int) -> Image:
    """Return :func:`addresses`, and for this process a digest of the random bytes of its program.

    Those differ also where addresses are not random, but another process may not read them.
    """
    return addresses(pid), _own_random() if pid == os.getpid() else None


def addresses(pid: int) -> str | None:
    """Return a digest of the addresses to which the kernel has loaded the program of a process.

    They are random (``/proc/sys/kernel/randomize_va_space``), and a fork has those of its parent.
    None where we may not read them (ptrace(2), access modes).
    """
    return _own_addresses() if pid == os.getpid() else _digest(procfs.auxv(pid))


@functools.cache  # a process that changes its user may not read them any more
def _own_addresses() -> str | None:
    # qemu-user shows a program another /proc/self/auxv than its other readers see.
    return _digest(procfs.read("/proc/thread-self/auxv"))


def _own_random() -> str | None:
    getauxval = getattr(_ctypes and _ctypes.CDLL(None), "getauxval", None)
    if getauxval is None:
        return None
    getauxval.argtypes, getauxval.restype = [_ctypes.c_ulong], _ctypes.c_ulong
    found = getauxval(AT_RANDOM)
    return _digest(_ctypes.string_at(found, RANDOM_BYTES)) if found else None


def _digest(secret: bytes) -> str | None:
    # The C library makes its stack protector of the random bytes.
    return digest(secret) if secret else None
