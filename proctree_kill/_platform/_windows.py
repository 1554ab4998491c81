"""Windows by psutil: parent links that are checked by age, markers, and TerminateProcess."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from operator import methodcaller
from typing import ClassVar

import psutil

from .._member import Member
from . import _psutil_facts as _facts
from ._psutil import PsutilSystem, Signal

PID_STEP = 4
"""Windows' numbers are multiples of this; OpenProcess ignores the bits below.

https://devblogs.microsoft.com/oldnewthing/20080606-00/?p=22043
"""


class WindowsSystem(PsutilSystem):
    """One kill on Windows.

    Nothing polite is sent: TerminateProcess is force, and is recorded as such.

    Freezing is sound: a suspended process starts nobody, TerminateProcess ends it all the same,
    suspending is counted, so that to resume takes back what we did and no more,
    and a child whose creation had begun appears in the scan that follows.

    The creation time of a process is a FILETIME that never changes, whatever is done to the clock.
    psutil rounds it to a float of 238 ns: two values of one process are equal,
    and the FILETIME itself cannot be had back, so that the identity for others stays weak.
    """

    polite = False
    tolerance: ClassVar[float] = 0.0
    protected: ClassVar[Mapping[int, str]] = {
        0: "it is the System Idle Process",
        4: "it is the System process",
    }
    asking: ClassVar[Sequence[Signal]] = ()
    freezing: ClassVar[Sequence[Signal]] = (Signal("NtSuspendProcess", methodcaller("suspend")),)
    killing: ClassVar[Sequence[Signal]] = (Signal("TerminateProcess", methodcaller("kill")),)
    releasing: ClassVar[Sequence[Signal]] = (Signal("NtResumeProcess", methodcaller("resume")),)

    def refusal(
        self,
        pid: int,
        member: Member | None,  # noqa: ARG002 - the numbers say it all
    ) -> str | None:
        """Name the system's own processes."""
        return self.protected.get(pid)

    def bind(self, pid: int) -> Member | None:
        """Bind as everywhere, but never a number that only looks like another one to Windows."""
        return None if pid % PID_STEP else super().bind(pid)

    def carries(self, pid: int, markers: Collection[bytes]) -> bool:
        """Look into the environment, where names have no case and psutil shows them in capitals."""
        return super().carries(pid, [_in_capitals(one) for one in markers])

    def _children(self, parent: Member) -> list[psutil.Process]:
        """Let psutil read a table for each parent; it would read one for each process's parent."""
        with contextlib.suppress(*_facts.UNTOLD):  # it vanished, and with it what its number meant
            process = self._find(parent)
            return [] if process is None else process.children()
        return []

    def _is_same(self, process: psutil.Process, one: Member) -> bool:
        """Compare creation times; psutil's own comparison takes two unknown ones for equal."""
        with contextlib.suppress(*_facts.UNTOLD):
            return one.create_time is not None and process.create_time() == one.create_time
        return False

    def _is_dead(self, process: psutil.Process) -> bool:  # noqa: ARG002 - it was found
        """Return False: whom psutil finds is alive, for Windows has no zombies."""
        return False

    def _is_stopped(self, process: psutil.Process) -> bool:  # noqa: ARG002 - nobody is
        """Return False: there is no job control, and who was suspended by others stays so."""
        return False


def _in_capitals(marker: bytes) -> bytes:
    """Return a marker with its name as psutil shows it."""
    name, _, value = marker.partition(b"=")
    return os.fsencode(os.fsdecode(name).upper()) + b"=" + value
