"""Handles of a job object, and Windows' calls that take one."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Mapping
from ctypes import c_int32, c_size_t, c_uint16, c_uint32, c_void_p, c_wchar_p
from typing import Any

from . import win32

_P = ctypes.POINTER
_KERNEL32: Mapping[str, tuple[Any, ...]] = {
    "AssignProcessToJobObject": (c_int32, c_void_p, c_void_p),
    "CreateIoCompletionPort": (c_void_p, c_void_p, c_void_p, c_size_t, c_uint32),
    "CreateJobObjectW": (c_void_p, c_void_p, c_wchar_p),
    "GetActiveProcessorCount": (c_uint32, c_uint16),
    "GetQueuedCompletionStatusEx": (
        *(c_int32, c_void_p, c_void_p, c_uint32, _P(c_uint32), c_uint32, c_int32),
    ),
    "QueryInformationJobObject": (c_int32, c_void_p, c_int32, c_void_p, c_uint32, c_void_p),
    "SetInformationJobObject": (c_int32, c_void_p, c_int32, c_void_p, c_uint32),
    "TerminateJobObject": (c_int32, c_void_p, c_uint32),
}


@functools.cache
def kernel32() -> Any:  # noqa: ANN401 - as load()
    """Return what is about jobs."""
    return win32.load("kernel32", _KERNEL32)


class Handle:
    """A handle that is closed when the last thread that uses it has let go of it.

    Its number may mean another object once it is closed, also another job.
    A lock would do as well, but must not be held in the main thread, where signal handlers run.
    """

    __slots__ = ("is_unwanted", "value")

    def __init__(self, value: int | None) -> None:
        """Take what a call returned.

        Raises:
            OSError: it returned none.
        """
        self.is_unwanted = False  # else it stays open: closing it may end processes
        if value is None:
            raise win32.error()
        self.value = value

    def __del__(self) -> None:
        if self.is_unwanted and not sys.is_finalizing():
            win32.close(self.value)

    def read(self, kind: int, found: Any) -> bool:  # noqa: ANN401 - a structure or an array of C
        """Read facts about the job; return whether it worked.

        Args:
            kind: of JOBOBJECTINFOCLASS (winnt.h).
            found: the structure that is filled in.
        """
        size = ctypes.sizeof(found)
        return bool(
            kernel32().QueryInformationJobObject(self.value, kind, ctypes.byref(found), size, None)
        )

    def write(self, kind: int, wanted: ctypes.Structure) -> bool:
        """Change the job, likewise."""
        size = ctypes.sizeof(wanted)
        return bool(
            kernel32().SetInformationJobObject(self.value, kind, ctypes.byref(wanted), size)
        )
