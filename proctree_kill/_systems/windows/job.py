"""Job objects: the kernel keeps the processes of a tree in one, and none can leave it.

The root starts suspended (:data:`CREATE_SUSPENDED`), is put into the job, and then resumed.
So it has not run an instruction before it is in the job, and no descendant starts outside:
not even the interpreter that ``py.exe`` or the ``python.exe`` of a virtual environment starts,
which is one more process between this one and the program.
"""

from __future__ import annotations

import ctypes
import functools
import secrets
import sys
from collections.abc import Mapping
from ctypes import c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p, c_wchar_p
from typing import Any, Self

from ..contract import Cell, UnavailableError
from . import win32
from .handles import FORCE_CODE

CREATE_SUSPENDED = 0x4
"""A process creation flag that ``subprocess`` does not name."""
KILL_ON_JOB_CLOSE = 0x2000
PROCESS_IDS, EXTENDED_LIMITS = 3, 9
"""Classes of JOBOBJECTINFOCLASS (winnt.h)."""
FIRST_ROOM = 64
"""How many numbers are listed before more room is made."""
MORE_DATA = 234
ASSIGN = win32.PROCESS_TERMINATE | 0x0100  # PROCESS_SET_QUOTA

_P = ctypes.POINTER
_KERNEL32: Mapping[str, tuple[Any, ...]] = {
    "AssignProcessToJobObject": (c_int32, c_void_p, c_void_p),
    "CreateJobObjectW": (c_void_p, c_void_p, c_wchar_p),
    "QueryInformationJobObject": (c_int32, c_void_p, c_int32, c_void_p, c_uint32, c_void_p),
    "SetInformationJobObject": (c_int32, c_void_p, c_int32, c_void_p, c_uint32),
    "TerminateJobObject": (c_int32, c_void_p, c_uint32),
}


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION (winnt.h)."""

    _fields_ = (
        ("process_time", c_int64),
        ("job_time", c_int64),
        ("flags", c_uint32),
        ("smallest_set", c_size_t),
        ("largest_set", c_size_t),
        ("processes", c_uint32),
        ("affinity", c_size_t),
        ("priority", c_uint32),
        ("scheduling", c_uint32),
    )


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION (winnt.h): 144 bytes with pointers of 64 bits."""

    _fields_ = (
        ("basic", BasicLimits),
        ("counters", c_uint64 * 6),
        ("process_memory", c_size_t),
        ("job_memory", c_size_t),
        ("peak_process_memory", c_size_t),
        ("peak_job_memory", c_size_t),
    )


@functools.cache
def _kernel32() -> Any:  # noqa: ANN401 - as load()
    """Return what is about jobs."""
    return win32.load("kernel32", _KERNEL32)


_abandoned: set[TreeJob] = set()
"""Jobs without an owning object, whose processes would die if they were closed."""


class _Handle:
    """A handle that is closed when the last thread that uses it has let go of it.

    Its number may mean another object once it is closed, also another job.
    A lock would do as well, but must not be held in the main thread, where signal handlers run.
    """

    __slots__ = ("is_unwanted", "value")

    def __init__(self, value: int) -> None:
        self.value = value
        self.is_unwanted = False  # else it stays open: closing it may end processes

    def __del__(self) -> None:
        if self.is_unwanted and not sys.is_finalizing():
            win32.close(self.value)


class TreeJob(Cell):
    """The job object of one tree, which may be inside another (since Windows 8).

    No breakaway flag is set, so what starts in it stays in it.

    Attributes:
        name: what tools that list objects call it, until its last handle is closed.
    """

    kind = "job"
    creation_flags = CREATE_SUSPENDED

    def __init__(self, *, dies_with_owner: bool) -> None:
        """Create it, empty.

        Args:
            dies_with_owner: whether its processes die when its last handle is closed. It is ours,
                and Windows closes it when this process ends, for whatever reason.

        Raises:
            OSError: the system gives none.
        """
        self.name = f"proctree_kill-{secrets.token_hex(8)}"
        self.dies_with_owner = dies_with_owner
        handle: int | None = _kernel32().CreateJobObjectW(None, self.name)
        if handle is None:
            raise win32.error()
        self._handle: _Handle | None = _Handle(handle)
        if dies_with_owner:
            limits = ExtendedLimits()
            limits.basic.flags = KILL_ON_JOB_CLOSE
            size = ctypes.sizeof(limits)
            if not _kernel32().SetInformationJobObject(
                handle, EXTENDED_LIMITS, ctypes.byref(limits), size
            ):
                error = win32.error()
                self._close()
                raise error

    @classmethod
    def make(cls, *, dies_with_owner: bool) -> Self:
        """Make one for a tree of this process.

        Raises:
            UnavailableError: the system gives none.
        """
        for job in [*_abandoned]:
            if job.remove():
                _abandoned.discard(job)
        try:
            return cls(dies_with_owner=dies_with_owner)
        except OSError as error:
            text = f"no job object is to be had: {error}"
            raise UnavailableError(text) from error

    def start(self, pid: int) -> None:
        """Let the root run.

        Raises:
            OSError: it is gone, or the system refuses.
        """
        with win32.closing(_open(pid, win32.PROCESS_SUSPEND_RESUME)) as process:
            if not win32.resume(process):
                text = f"process {pid} could not be resumed"
                raise OSError(text)

    def adopt(self, pid: int) -> None:
        """Put a process in that runs, or is suspended; its children stay where they are.

        Raises:
            OSError: it is gone, or the system refuses.
        """
        with win32.closing(_open(pid, ASSIGN)) as process:
            handle = self._handle
            value = None if handle is None else handle.value
            if not _kernel32().AssignProcessToJobObject(value, process):
                raise win32.error()

    def pids(self) -> list[int]:
        """List the processes in here and in jobs inside; none once it is closed.

        Raises:
            OSError: the system does not list them.
        """
        room = FIRST_ROOM
        while (handle := self._handle) is not None:
            found = (c_size_t * (room + 1))()  # two counts of 32 bits, then the numbers
            size = ctypes.sizeof(found)
            if _kernel32().QueryInformationJobObject(
                handle.value, PROCESS_IDS, ctypes.byref(found), size, None
            ):
                count = ctypes.cast(found, _P(c_uint32))[1]
                begin = 8 // ctypes.sizeof(c_size_t)
                return list(found[begin : begin + count])
            if win32.last_error() != MORE_DATA:
                raise win32.error()
            room *= 4
        return []

    def kill(self) -> bool:
        """End all processes in here at once; return whether the system accepted it."""
        handle = self._handle
        return handle is None or bool(_kernel32().TerminateJobObject(handle.value, FORCE_CODE))

    def remove(self) -> bool:
        """Close it if it is empty; return whether it is closed."""
        if self.pids():
            return False
        self._close()
        return True

    def abandon(self) -> None:
        """Close it, at once unless that would end a process."""
        if self.dies_with_owner and not self.remove():
            _abandoned.add(self)
        else:
            self._close()

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.is_unwanted = True


def _open(pid: int, rights: int) -> int:
    """Open a process.

    Raises:
        OSError: it is gone, or protected.
    """
    handle = win32.open_process(pid, rights)
    if handle is None:
        raise ProcessLookupError(pid)
    return handle
