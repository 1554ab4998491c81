"""Job objects: the kernel knows who belongs to one, and nobody leaves it.

Its use around a spawn is four steps: create a job, start the process with
:data:`CREATE_SUSPENDED`, :meth:`Job.adopt` it, and :func:`resume` it.
The process has not run an instruction before it is in the job, so no grandchild is born outside:
also not the interpreter that ``py.exe`` or the ``python.exe`` of a virtual environment starts,
which puts one process more between us and it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import secrets
from collections.abc import Iterator, Mapping
from ctypes import c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p, c_wchar_p
from typing import Any, Literal, Self

from ..contract import UnavailableError
from . import win32
from .handles import FORCE_CODE

CREATE_SUSPENDED = 0x4
"""A process creation flag that ``subprocess`` does not name."""
KILL_ON_JOB_CLOSE = 0x2000
BASIC_ACCOUNTING, PROCESS_IDS, EXTENDED_LIMITS = 1, 3, 9
"""Classes of JOBOBJECTINFOCLASS (winnt.h)."""
FIRST_ROOM = 64
"""How many numbers are listed before more room is made."""
MORE_DATA = 234
ASSIGN = win32.PROCESS_TERMINATE | 0x0100  # PROCESS_SET_QUOTA
QUERY = 0x0400
"""PROCESS_QUERY_INFORMATION: IsProcessInJob asks for less, Wine for this."""

_P = ctypes.POINTER
_KERNEL32: Mapping[str, tuple[Any, ...]] = {
    "AssignProcessToJobObject": (c_int32, c_void_p, c_void_p),
    "CreateJobObjectW": (c_void_p, c_void_p, c_wchar_p),
    "IsProcessInJob": (c_int32, c_void_p, c_void_p, _P(c_int32)),
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


class Job:
    """One job object, which may be inside others (since Windows 8)."""

    def __init__(self, name: str | None = None, *, kill_on_close: bool = False) -> None:
        """Create it, empty. No breakaway flag is set, so whoever is born in it stays in it.

        Args:
            name: what tools that list objects call it, until its last handle is closed.
            kill_on_close: whether everybody in it dies with the last handle to it, ours, which
                the system closes when this process ends, however it ends.

        Raises:
            OSError: the system gives none.
        """
        handle: int | None = _kernel32().CreateJobObjectW(None, name)
        if handle is None:
            raise win32.error()
        self._handle: int | None = handle
        if kill_on_close:
            limits = ExtendedLimits()
            limits.basic.flags = KILL_ON_JOB_CLOSE
            size = ctypes.sizeof(limits)
            self._check(
                _kernel32().SetInformationJobObject(
                    handle, EXTENDED_LIMITS, ctypes.byref(limits), size
                )
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def adopt(self, pid: int) -> None:
        """Take in a process that runs, or waits to; its children stay where they are.

        Raises:
            OSError: it is gone, or the system refuses.
        """
        with win32.closing(_open(pid, ASSIGN)) as process:
            self._check(_kernel32().AssignProcessToJobObject(self._handle, process))

    def pids(self) -> list[int]:
        """Return who lives in it, in nested jobs too; nobody once it is closed.

        Raises:
            OSError: the system does not tell.
        """
        room = FIRST_ROOM
        while self._handle is not None:
            found = (c_size_t * (room + 1))()  # two counts of 32 bits, then the numbers
            size = ctypes.sizeof(found)
            if _kernel32().QueryInformationJobObject(
                self._handle, PROCESS_IDS, ctypes.byref(found), size, None
            ):
                count = ctypes.cast(found, _P(c_uint32))[1]
                begin = 8 // ctypes.sizeof(c_size_t)
                return list(found[begin : begin + count])
            if win32.last_error() != MORE_DATA:
                raise win32.error()
            room *= 4
        return []

    def holds(self, pid: int) -> bool:
        """Tell whether a process is in it; one that cannot be asked is not."""
        try:
            process = _open(pid, QUERY)
        except OSError:
            return False
        answer = c_int32()
        with win32.closing(process):
            told = self._handle is not None and _kernel32().IsProcessInJob(
                process, self._handle, ctypes.byref(answer)
            )
        return bool(told and answer.value)

    def terminate(self, code: int = 1) -> None:
        """End everybody in it at once; nothing once it is closed.

        Args:
            code: their exit code.

        Raises:
            OSError: the system refuses.
        """
        if self._handle is not None:
            self._check(_kernel32().TerminateJobObject(self._handle, code))

    def close(self) -> None:
        """Give the handle back, which ends everybody where that was asked for."""
        if self._handle is not None:
            win32.close(self._handle)
            self._handle = None

    def _check(self, done: int) -> None:
        """Raise what went wrong, if something did."""
        if not done:
            raise win32.error()


def resume(pid: int) -> None:
    """Let a process run that was started with :data:`CREATE_SUSPENDED`.

    Raises:
        OSError: it is gone, or the system refuses.
    """
    with win32.closing(_open(pid, win32.PROCESS_SUSPEND_RESUME)) as process:
        if not win32.resume(process):
            text = f"process {pid} could not be resumed"
            raise OSError(text)


def _open(pid: int, rights: int) -> int:
    """Open a process.

    Raises:
        OSError: it is gone, or protected.
    """
    handle = win32.open_process(pid, rights)
    if handle is None:
        raise ProcessLookupError(pid)
    return handle


_abandoned: set[JobCell] = set()
"""Those of objects that are gone, which would end their trees if they were closed."""


class JobCell:
    """The job object of one tree.

    Its root is born suspended and runs once it is in here, so no descendant is born outside.

    Attributes:
        kind: which evidence its members are of.
        name: what tools that list objects call it; nobody finds it any more once we have ended.
        dies_with_owner: whether its members die with this process.
        creation_flags: what the root must be started with.
    """

    kind: Literal["cgroup", "job"] = "job"
    creation_flags = CREATE_SUSPENDED

    def __init__(self, job: Job, name: str, *, dies_with_owner: bool) -> None:
        """Stand for one that exists; :meth:`make` is the way to it."""
        self.name = name
        self.dies_with_owner = dies_with_owner
        self._job = job

    @classmethod
    def make(cls, *, dies_with_owner: bool) -> Self:
        """Make one for a tree of this process.

        Raises:
            UnavailableError: the system gives none.
        """
        for one in [*_abandoned]:
            if one.remove():
                _abandoned.discard(one)
        name = f"proctree_kill-{secrets.token_hex(8)}"
        try:
            job = Job(name, kill_on_close=dies_with_owner)
        except OSError as error:
            text = f"no job object is to be had: {error}"
            raise UnavailableError(text) from error
        return cls(job, name, dies_with_owner=dies_with_owner)

    @contextlib.contextmanager
    def spawning(self, _do: object) -> Iterator[None]:
        """Do nothing: the flags have the root wait until it is in here."""
        yield

    def start(self, pid: int) -> None:
        """Let the root run.

        Raises:
            OSError: it is gone, or the system refuses.
        """
        resume(pid)

    def adopt(self, pid: int) -> None:
        """Take in a process that was born outside; its children stay where they are.

        Raises:
            OSError: it is gone, or the system refuses.
        """
        self._job.adopt(pid)

    def expel(self, pid: int) -> None:
        """Do nothing: a process that is held keeps its number."""

    def pids(self) -> list[int]:
        """List who lives in here, in jobs inside of it included."""
        return self._job.pids()

    def kill(self) -> bool:
        """End everybody in here at once; tell whether the system took the order."""
        try:
            self._job.terminate(FORCE_CODE)
        except OSError:
            return False
        return True

    def remove(self) -> bool:
        """Close it, if nobody lives in it; tell whether it is closed."""
        if self._job.pids():
            return False
        self._job.close()
        return True

    def abandon(self) -> None:
        """Close it, at once unless that would end somebody."""
        if self.dies_with_owner and not self.remove():
            _abandoned.add(self)
        else:
            self._job.close()
