"""Job objects: the kernel keeps the processes of a tree in one, and none can leave it.

The root starts suspended (:data:`CREATE_SUSPENDED`), is put into the job, and then resumed.
So it has not run an instruction before it is in the job, and no descendant starts outside:
not even the interpreter that ``py.exe`` or the ``python.exe`` of a virtual environment starts,
which is one more process between this one and the program.
"""

from __future__ import annotations

import ctypes
import secrets
from contextlib import suppress
from ctypes import c_size_t, c_uint32
from typing import TYPE_CHECKING, Self

from ..contract import Cell, CellUsage, UnavailableError
from . import job_handle, job_limits, job_usage, win32
from .handles import FORCE_CODE
from .job_handle import Handle

if TYPE_CHECKING:
    from ..._models.limits import Limits

CREATE_SUSPENDED = 0x4
"""A process creation flag that ``subprocess`` does not name."""
PROCESS_IDS = 3
"""A class of JOBOBJECTINFOCLASS (winnt.h)."""
FIRST_ROOM = 64
"""How many numbers are listed before more room is made."""
MORE_DATA = 234
ASSIGN = win32.PROCESS_TERMINATE | 0x0100  # PROCESS_SET_QUOTA

_abandoned: set[TreeJob] = set()
"""Jobs without an owning object, whose processes would die if they were closed."""


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
        self._bounds = job_limits.Bounds(job_limits.KILL_ON_JOB_CLOSE if dies_with_owner else 0)
        self._refusals: job_usage.Refusals | None = None
        self._handle: Handle | None = Handle(
            job_handle.kernel32().CreateJobObjectW(None, self.name)
        )
        if dies_with_owner and not self._handle.write(
            job_limits.EXTENDED_LIMITS, self._bounds.extended()
        ):
            error = win32.error()  # closing it may replace the error
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
            if not job_handle.kernel32().AssignProcessToJobObject(value, process):
                raise win32.error()

    def pids(self) -> list[int]:
        """List the processes in here and in jobs inside; none once it is closed.

        Raises:
            OSError: the system does not list them.
        """
        room = FIRST_ROOM
        while (handle := self._handle) is not None:
            found = (c_size_t * (room + 1))()  # two counts of 32 bits, then the numbers
            if handle.read(PROCESS_IDS, found):
                count = ctypes.cast(found, ctypes.POINTER(c_uint32))[1]
                begin = 8 // ctypes.sizeof(c_size_t)
                return list(found[begin : begin + count])
            if win32.last_error() != MORE_DATA:
                raise win32.error()
            room *= 4
        return []

    def kill(self) -> bool:
        """End all processes in here at once; return whether the system accepted it."""
        handle = self._handle
        if handle is None:
            return True
        if self._bounds.rate:  # the dying need the processor as well
            with suppress(UnavailableError):
                self._change(handle, self._bounds._replace(rate=0))
        return bool(job_handle.kernel32().TerminateJobObject(handle.value, FORCE_CODE))

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

    def limit(self, limits: Limits) -> None:
        """Limit what the processes in here use together; None lifts a limit.

        Raises:
            UnavailableError: this system cannot limit that, and why; nothing is changed.
        """
        handle = self._handle
        if handle is None:
            text = "the job object is closed"
            raise UnavailableError(text)
        before = self._bounds
        self._change(handle, before.but(limits))
        if limits.memory and self._refusals is None:
            try:
                self._refusals = job_usage.Refusals(handle)
            except OSError as error:
                self._change(handle, before)
                text = f"memory cannot be limited: Windows does not tell of refusals: {error}"
                raise UnavailableError(text) from error

    def usage(self) -> CellUsage:
        """Return what the processes used that are or were in here.

        Raises:
            OSError: it is closed, or the system refuses.
            UnavailableError: this system does not tell.
        """
        handle = self._handle
        if handle is None:
            text = "the job object is closed"
            raise OSError(text)
        return job_usage.read(handle, self._refusals)

    def _change(self, handle: Handle, bounds: job_limits.Bounds) -> None:
        job_limits.change(handle, self._bounds, bounds)
        self._bounds = bounds

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        refusals, self._refusals = self._refusals, None
        if handle is not None:
            if refusals is not None:
                refusals.close(handle)
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
