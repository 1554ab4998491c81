"""The limits of a job: memory, processes and processor time of all that is in it together."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from ctypes import c_int64, c_size_t, c_uint32, c_uint64
from typing import TYPE_CHECKING, NamedTuple

from ..contract import UnavailableError
from . import job_handle, win32
from .job_handle import Handle

if TYPE_CHECKING:
    from ..._models.limits import Limits

EXTENDED_LIMITS, CPU_RATE = 9, 15
"""Classes of JOBOBJECTINFOCLASS (winnt.h)."""
KILL_ON_JOB_CLOSE, ACTIVE_PROCESS, JOB_MEMORY = 0x2000, 0x8, 0x200
"""Flags of the extended limits."""
LIMITED = ACTIVE_PROCESS | JOB_MEMORY
ENABLE, HARD_CAP = 0x1, 0x4
"""Flags of the rate: it is limited, also while a processor is idle."""
WHOLE_MACHINE = 10_000
"""The rate of all processors together."""
ALL_PROCESSOR_GROUPS = 0xFFFF


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


class CpuRate(ctypes.Structure):
    """JOBOBJECT_CPU_RATE_CONTROL_INFORMATION (winnt.h)."""

    _fields_ = (("flags", c_uint32), ("rate", c_uint32))


class Bounds(NamedTuple):
    """What is set in a job; 0 is no limit.

    Args:
        flags: of the extended limits.
        memory: bytes.
        processes: how many may live.
        rate: processor time, of :data:`WHOLE_MACHINE`.
    """

    flags: int = 0
    memory: int = 0
    processes: int = 0
    rate: int = 0

    def but(self, limits: Limits) -> Bounds:
        """Return these with other limits.

        Raises:
            UnavailableError: there is no such number here.
        """
        memory, processes = limits.memory or 0, limits.processes or 0
        if c_size_t(memory).value != memory:
            raise UnavailableError(_cannot("memory", f"{memory} bytes need a Python of 64 bits"))
        given = (JOB_MEMORY if memory else 0) | (ACTIVE_PROCESS if processes else 0)
        return Bounds(self.flags & ~LIMITED | given, memory, processes, _rate(limits.cpu))

    def extended(self) -> ExtendedLimits:
        """Return all but the rate as Windows takes it."""
        basic = BasicLimits(flags=self.flags, processes=self.processes)
        return ExtendedLimits(basic=basic, job_memory=self.memory)


def change(job: Handle, before: Bounds, after: Bounds) -> None:
    """Replace what is set in a job.

    Raises:
        UnavailableError: this system cannot limit that, and why; what was set before is set again.
    """
    try:
        _write(job, before, after)
    except UnavailableError:
        with suppress(UnavailableError):  # what was refused cannot be restored, nor needs it
            _write(job, after, before)
        raise


def _write(job: Handle, before: Bounds, after: Bounds) -> None:
    """Write what differs.

    Raises:
        UnavailableError: it is refused, or not kept.
    """
    if after.rate != before.rate:
        rate = CpuRate(ENABLE | HARD_CAP, after.rate) if after.rate else CpuRate()
        if not job.write(CPU_RATE, rate):
            raise UnavailableError(_cannot("cpu", f"Windows refuses it: {win32.error()}"))
    if after[:3] == before[:3]:
        return
    found = ExtendedLimits()
    names = {"memory": after.memory, "processes": after.processes}
    name = " and ".join(name for name in names if names[name]) or "a job"
    if not (job.write(EXTENDED_LIMITS, after.extended()) and job.read(EXTENDED_LIMITS, found)):
        raise UnavailableError(_cannot(name, f"Windows refuses it: {win32.error()}"))
    if after.flags & ~found.basic.flags:  # Wine ignores them
        text = "this system accepts that for a job, but does not keep it"
        raise UnavailableError(_cannot(name, text))


def _cannot(name: str, reason: str) -> str:
    return f"{name} cannot be limited: {reason}"


def _rate(cores: float | None) -> int:
    """Return the share of the machine that this many cores are; 0 for all of it, or no limit."""
    if cores is None:
        return 0
    processors = job_handle.kernel32().GetActiveProcessorCount(ALL_PROCESSOR_GROUPS)
    return 0 if cores >= processors else max(1, round(cores / processors * WHOLE_MACHINE))
