"""What the processes of a job used, from its first to its last."""

from __future__ import annotations

import ctypes
from ctypes import c_int64, c_size_t, c_uint32

from ..contract import CellUsage, UnavailableError
from . import job_handle, win32
from .job_handle import Handle
from .job_limits import EXTENDED_LIMITS, ExtendedLimits

ACCOUNTING, COMPLETION_PORT = 1, 7
"""Classes of JOBOBJECTINFOCLASS (winnt.h)."""
TICKS = 10_000_000  # in a second
JOB_MEMORY_LIMIT = 10
"""The message that a process was refused memory (JOB_OBJECT_MSG_JOB_MEMORY_LIMIT)."""
BATCH, MAX_BATCHES = 256, 4096
"""How many messages are read at once, and how often for one question."""
NO_FILE = ctypes.c_void_p(-1).value  # INVALID_HANDLE_VALUE: a port alone


class Accounting(ctypes.Structure):
    """JOBOBJECT_BASIC_ACCOUNTING_INFORMATION (winnt.h); times are in 100 ns."""

    _fields_ = (
        ("user", c_int64),
        ("kernel", c_int64),
        ("period_user", c_int64),
        ("period_kernel", c_int64),
        ("page_faults", c_uint32),
        ("processes", c_uint32),
        ("living", c_uint32),
        ("terminated", c_uint32),
    )


class PortOfJob(ctypes.Structure):
    """JOBOBJECT_ASSOCIATE_COMPLETION_PORT (winnt.h)."""

    _fields_ = (("key", c_size_t), ("port", c_size_t))


class Message(ctypes.Structure):
    """OVERLAPPED_ENTRY (minwinbase.h); of a job it holds its message as the number of bytes."""

    _fields_ = (
        ("key", c_size_t),
        ("process", c_size_t),
        ("not_used", c_size_t),
        ("message", c_uint32),
    )


class Refusals:
    """Whether a job has refused memory to a process, as its messages tell.

    Windows queues a message in kernel memory for each start and exit as well, until it is read:
    so only a job with a limit of memory has a queue.

    Attributes:
        port: the queue.
    """

    def __init__(self, job: Handle) -> None:
        """Have the messages of a job queued from now on.

        Raises:
            OSError: the system refuses.
        """
        self._seen = False
        port = Handle(job_handle.kernel32().CreateIoCompletionPort(NO_FILE, None, 0, 1))
        if not job.write(COMPLETION_PORT, PortOfJob(port=port.value)):
            error = win32.error()
            port.is_unwanted = True
            del port  # the traceback would keep it open
            raise error
        self.port = port

    def seen(self) -> bool:
        """Read what is queued, without waiting; return whether memory was refused up to now.

        Raises:
            OSError: the system refuses.
        """
        messages, count = (Message * BATCH)(), c_uint32()
        for _ in range(MAX_BATCHES):  # a tree may start processes faster than they are read
            if not job_handle.kernel32().GetQueuedCompletionStatusEx(
                self.port.value, messages, BATCH, ctypes.byref(count), 0, 0
            ):
                if win32.last_error() != win32.TIMED_OUT:
                    raise win32.error()
                break
            if any(found.message == JOB_MEMORY_LIMIT for found in messages[: count.value]):
                self._seen = True
            if count.value < BATCH:
                break
        return self._seen

    def close(self, job: Handle) -> None:
        """Take the queue from the job: it may live on, and would fill it for ever."""
        job.write(COMPLETION_PORT, PortOfJob())  # Wine refuses that
        self.port.is_unwanted = True


def read(job: Handle, refusals: Refusals | None) -> CellUsage:
    """Return what the processes used.

    Args:
        job: the job.
        refusals: the messages of a job with a limit of memory.

    Raises:
        OSError: the system refuses.
        UnavailableError: this system does not tell.
    """
    used, limits = Accounting(), ExtendedLimits()
    if not (job.read(ACCOUNTING, used) and job.read(EXTENDED_LIMITS, limits)):
        raise win32.error()
    peak = limits.peak_job_memory or None
    if used.processes and not (used.user or used.kernel or peak):  # Wine counts processes only
        text = "this system does not tell what the processes of a job used"
        raise UnavailableError(text)
    out_of_memory = None if refusals is None else refusals.seen()
    return CellUsage(used.user / TICKS, used.kernel / TICKS, peak, out_of_memory=out_of_memory)
