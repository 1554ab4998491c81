"""Which program a process runs: execve(2) replaces it, and keeps the pid and the start."""

from __future__ import annotations

import sys

from ..._models.identity import Image
from ..machine import optional

_ctypes = optional("ctypes")

PROC_PIDUNIQIDENTIFIERINFO, SIZE = 17, 56
VERSION = slice(32, 36)
"""Where its answer has ``p_idversion``, which XNU counts up at each fork and execve(2)."""


def image(pid: int) -> Image:
    """Return the version of a pid on macOS; nothing where the system has no such version."""
    ask = getattr(_ctypes and _ctypes.CDLL(None), "proc_pidinfo", None)
    if ask is None:
        return ()
    found = _ctypes.create_string_buffer(SIZE)
    # The third argument has 64 bits, and the default is 32.
    if ask(pid, PROC_PIDUNIQIDENTIFIERINFO, _ctypes.c_uint64(0), found, SIZE) < VERSION.stop:
        return ()
    return (str(int.from_bytes(found.raw[VERSION], sys.byteorder)),)
