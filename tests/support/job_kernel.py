"""The kernel of a Windows with job objects: it remembers limits, and queues messages."""

from __future__ import annotations

import ctypes
import itertools
from collections import deque
from typing import Any, Protocol

import pytest

from proctree_kill._systems.windows import job_handle, win32
from proctree_kill._systems.windows.job import PROCESS_IDS
from proctree_kill._systems.windows.job_limits import (
    CPU_RATE,
    EXTENDED_LIMITS,
    CpuRate,
    ExtendedLimits,
)
from proctree_kill._systems.windows.job_usage import (
    ACCOUNTING,
    COMPLETION_PORT,
    Accounting,
    Message,
)

PROCESSORS = 4


class Reference(Protocol):
    """What byref() makes."""

    _obj: Any


class JobKernel:
    """What Windows answers about one job.

    Attributes:
        keeps_limits: whether it does what it accepts; Wine does not.
        refuses: the kinds of information that it does not take or give.
        limits: the extended limits that are set.
        rate: the rate that is set.
        used: the accounting.
        peak: of memory, in bytes.
        queue: the messages that were not read yet, if there is a port.
        open: the open handles.
        written: the kinds that were set, in order.
        rate_of_the_dying: the rate at the last kill.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take the place of the calls of the library."""
        self.keeps_limits = True
        self.refuses: set[int] = set()
        self.limits, self.rate = ExtendedLimits(), CpuRate()
        self.used, self.peak = Accounting(), 0
        self.queue: deque[int] | None = None
        self.open: set[int] = set()
        self.written: list[int] = []
        self.rate_of_the_dying: int | None = None
        self._numbers = itertools.count(8, 4)
        self._error = 0
        monkeypatch.setattr(job_handle, "kernel32", lambda: self)
        monkeypatch.setattr(win32, "close", self.open.remove)
        monkeypatch.setattr(win32, "last_error", lambda: self._error)
        monkeypatch.setattr(win32, "error", lambda: OSError(self._error, "the kernel refuses"))

    def send(self, *messages: int) -> None:
        """Queue these, as a job does that has a port."""
        if self.queue is not None:
            self.queue.extend(messages)

    def CreateJobObjectW(self, *_: object) -> int:  # noqa: N802 - the name in Windows
        return self._handle()

    def CreateIoCompletionPort(self, *_: object) -> int | None:  # noqa: N802 - as above
        return self._handle()

    def GetActiveProcessorCount(self, groups: int) -> int:  # noqa: N802 - as above
        assert groups == 0xFFFF
        return PROCESSORS

    def SetInformationJobObject(self, job: int, kind: int, place: Reference, size: int) -> bool:  # noqa: N802 - as above
        """Take limits, or a port."""
        assert job in self.open
        if kind in self.refuses:
            return self._fail(87)
        self.written.append(kind)
        if kind == COMPLETION_PORT:
            assert place._obj.port in {0, *self.open}
            self.queue = deque() if place._obj.port else None
        elif self.keeps_limits:
            kept = {EXTENDED_LIMITS: self.limits, CPU_RATE: self.rate}[kind]
            memory = memoryview(kept).cast("B")
            memory[:size] = bytes(place._obj)
        return True

    def QueryInformationJobObject(  # noqa: N802 - as above
        self, job: int, kind: int, place: Reference, size: int, _: object
    ) -> bool:
        """Give the limits with the peak, or the accounting."""
        assert job in self.open
        if kind in self.refuses:
            return self._fail(87)
        found = {
            EXTENDED_LIMITS: bytes(self.limits),
            ACCOUNTING: bytes(self.used),
            PROCESS_IDS: bytes(size),  # none
        }
        memoryview(place._obj).cast("B")[:size] = found[kind]
        if kind == EXTENDED_LIMITS:
            place._obj.peak_job_memory = self.peak
        return True

    def TerminateJobObject(self, job: int, _: int) -> bool:  # noqa: N802 - as above
        """Note the rate that the dying have."""
        assert job in self.open
        self.rate_of_the_dying = self.rate.rate
        return True

    def GetQueuedCompletionStatusEx(  # noqa: N802 - as above
        self, port: int, messages: ctypes.Array[Message], room: int, count: Reference, *how: int
    ) -> bool:
        """Give as many messages as there is room for."""
        assert port in self.open
        assert how == (0, 0)  # it does not wait
        if not self.queue:
            return self._fail(0 if self.queue is None else win32.TIMED_OUT)
        count._obj.value = min(room, len(self.queue))
        for message in messages[: count._obj.value]:
            message.message = self.queue.popleft()
        return True

    def _handle(self) -> int:
        number = next(self._numbers)
        self.open.add(number)
        return number

    def _fail(self, error: int) -> bool:
        self._error = error
        return False
