"""Windows: handles that are held, parent links that are checked by age, consoles and windows."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from .. import psutil_facts as _facts
from ..contract import Details, Reply, System
from ..member import GONE, Member
from . import console, process_table, win32
from .handles import FORCE_CODE, PID_STEP, WindowsHandles
from .helper import Helper
from .process_table import ProcessTable, Row
from .taskkill import Answer, batches

_T = TypeVar("_T")
CONSOLE_HOST = "conhost.exe"
"""Serves a console, and is by its parent id the child of who opened it.

It ends with the last process of its console.
Ended before, it takes them all with it, so it belongs to no tree, and is walked through.
https://learn.microsoft.com/windows/console/definitions#console-host
"""
BREAK_TIME = 1.0
"""Seconds that the console may take to accept a CTRL_BREAK."""
TICKS = 10_000_000
"""How many units of a FILETIME a second has."""


class WindowsSystem(System):
    """One kill on Windows; :class:`~._system.System` says what each method promises.

    A process keeps the number of its parent in its facts when that one dies, and a held handle
    keeps the number from being used again: so the children of dead members are found as well.
    A child is not older than its parent, or the number had an earlier owner.

    Freezing is sound: a suspended process starts nobody, TerminateProcess ends it all the same,
    suspending is counted, so that to resume takes back what we did and no more,
    and a child whose creation had begun appears in the scan that follows.
    """

    insists = True
    force_code = FORCE_CODE
    keeps_links = True
    protected: Mapping[int, str] = {
        0: "it is the System Idle Process",
        4: "it is the System process",
    }

    def __init__(self, helper_timeout: float) -> None:
        """Begin with nobody held.

        Args:
            helper_timeout: seconds that taskkill or tasklist may take.
        """
        self._handles = WindowsHandles()
        self._helper = Helper(helper_timeout, self._handles.wait_for)
        self._table: ProcessTable | None = None

    def begin_scan(self) -> None:
        """Forget the process table."""
        self._table = None

    def refusal(self, pid: int, member: Member | None) -> str | None:
        """Name the system's own processes, and the process of a thread."""
        if pid in self.protected:
            return self.protected[pid]
        process = None if member or pid % PID_STEP else win32.process_of_thread(pid)
        if process is None:
            return None
        return f"it is a thread id; the process of that thread is {process}"

    def bind(self, pid: int) -> Member | None:
        """Hold the process that has this number."""
        return self._handles.bind(pid)

    def children(
        self, parents: Sequence[Member], known: Mapping[int, Member]
    ) -> list[tuple[Member, Member]]:
        """Look the parents up in the process table of this scan.

        Whoever is in it lived at that moment, so its links hold whoever has died since.
        """
        return [
            (parent, child)
            for parent in parents
            if parent.start is not None and parent.state != GONE
            for child in self._below(parent.pid, parent.start, known)
        ]

    def owns_number(self, member: Member) -> bool:
        """Tell whether the number is kept by our handle, or leads to this process still."""
        return member.handle is not None or self._handles.look(member)

    def drop(self, member: Member) -> None:
        """Close the handle of one."""
        self._handles.drop(member)

    def candidates(
        self,
        roots: Sequence[Member],  # noqa: ARG002 - everybody is asked, whoever the roots are
        *,
        ours: bool,  # noqa: ARG002 - as above
        children: bool,  # noqa: ARG002 - as above
        everywhere: bool,  # noqa: ARG002 - always
    ) -> Iterable[int]:
        """List everybody but the system: orphans hang nowhere in particular."""
        rows = self._read_table().rows.values()
        return [
            member.pid
            for member in rows
            if member.pid not in self.protected and not _is_host(member)
        ]

    def start_clock(self) -> int:
        """Return the time as a FILETIME."""
        return win32.now()

    def carries(self, pid: int, markers: Collection[bytes]) -> bool:
        """Look into the environment, where names have no case and psutil shows them in capitals."""
        environment = _facts.environment(pid, may_block=False) or {}
        wanted = (os.fsdecode(member).partition("=") for member in markers)
        return any(environment.get(name.upper()) == value for name, _, value in wanted)

    def ancestors(self, pid: int) -> list[int]:
        """Climb from parent to parent, as far as each is not younger than its child."""
        return self._read_table().ancestors(pid)

    def ask(self, members: Iterable[Member], until: float) -> Reply:
        """Send CTRL_BREAK to the groups, and WM_CLOSE to the windows, that can be reached."""
        living, gone = self._look(members)
        reached, reasons = console.look(os.getpid()).reach(member.pid for member in living)
        answers = console.send_breaks(reached, min(until, self.now() + BREAK_TIME))
        for group, pids in reached.items():
            if answers.get(group):
                _note_sent(living, pids, "CTRL_BREAK")
            else:
                why = "was refused" if group in answers else "did not come through"
                reasons.update(dict.fromkeys(pids, f"CTRL_BREAK {why}"))
        windows = console.owners_of_windows()
        self._close_windows([member for member in living if member.pid in windows], reasons, until)
        for member in living:
            if not member.signals:
                member.unreachable, member.note = (
                    True,
                    f"it could not be asked: {reasons[member.pid]}",
                )
        return Reply(gone, [])

    def freeze(
        self,
        members: Iterable[Member],
        groups: Iterable[Member],  # noqa: ARG002 - there are none
    ) -> Reply:
        """Suspend them one by one."""
        return self._handles.suspend(members)

    def prove_stopped(self, members: Iterable[Member], until: float) -> None:
        """Do nothing: suspended threads start no process, see above."""

    def kill(
        self,
        members: Iterable[Member],
        groups: Iterable[Member],  # noqa: ARG002 - there are none
    ) -> Reply:
        """End them one by one."""
        reply = self._handles.terminate(members)
        for member in reply.denied:
            member.note = "TerminateProcess was refused"
        return reply

    def insist(self, members: Iterable[Member], until: float) -> Reply:
        """Let taskkill try, which knows how to use a privilege that we do not take."""
        living, gone = self._look(members)
        denied = []
        for batch in batches([member.pid for member in living]):
            self._insist([member for member in living if member.pid in batch], until)
        for member in living:
            if not self._handles.look(member):
                gone.append(member)
            elif "taskkill /F" not in member.signals:
                denied.append(member)
        return Reply(gone, denied)

    def release(self, members: Iterable[Member]) -> None:
        """Resume those whom we suspended."""
        self._handles.resume(members)

    def stopped(self, pid: int) -> bool:
        """Tell whether we suspended it; whom others suspended is not ours to resume."""
        return self._handles.suspended(pid)

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Wait on the handles."""
        return self._handles.wait(members, until)

    def inspect(self, members: Iterable[Member]) -> None:
        """Read the exit codes through the handles; Windows reaps by itself."""
        self._handles.inspect(members)

    def details(self, member: Member) -> Details:
        """Ask psutil, which reads the memory of the process."""
        process = _facts.find(member.pid)
        if process is None:
            return Details()
        arguments = _told(process.cmdline)
        seconds = None if member.start is None else (win32.now() - member.start) / TICKS
        return Details(_told(process.username), " ".join(arguments or ()) or None, seconds)

    def hurry(self) -> None:
        """Wake one wait."""
        self.hurried = True
        self._handles.hurry()

    def close(self) -> None:
        """Close every handle."""
        self._handles.close()

    def _read_table(self) -> ProcessTable:
        """Return the process table of this scan."""
        if self._table is None:
            self._table = process_table.read()
        return self._table

    def _below(self, pid: int, start: int, known: Mapping[int, Member]) -> Iterator[Member]:
        """Hold the children of a process; those of a child that is dead by now are its own."""
        for row in self._read_table().children(pid, start):
            member = known.get(row.pid)
            if member is not None and member.start == row.start:
                continue
            if member is not None:
                member.state = GONE
            child = None if _is_host(row) else self._handles.bind_row(row)
            if child is None:
                yield from self._below(row.pid, row.start, known)
            else:
                yield child

    def _look(self, members: Iterable[Member]) -> tuple[list[Member], list[Member]]:
        """Divide these into the living and the dead."""
        living: list[Member] = []
        gone: list[Member] = []
        for member in members:
            (living if self._handles.look(member) else gone).append(member)
        return living, gone

    def _close_windows(self, owners: list[Member], reasons: dict[int, str], until: float) -> None:
        """Have the windows of these closed; where one refuses, of each alone."""
        for batch in batches([member.pid for member in owners]):
            answer = self._helper.ask_to_close(batch, until)
            if answer is Answer.DONE:
                _note_sent(owners, batch, "WM_CLOSE")
            elif len(batch) > 1:
                for member in [member for member in owners if member.pid in batch]:
                    self._close_windows([member], reasons, until)
            else:
                reasons[batch[0]] = f"taskkill: {answer}"

    def _insist(self, members: list[Member], until: float) -> None:
        """Let taskkill end these, and say what it and tasklist answered."""
        answer = self._helper.force([member.pid for member in members], until)
        if answer is not Answer.DONE and len(members) > 1:
            for member in members:
                self._insist([member], until)
            return
        for member in members:
            if answer is Answer.DONE:
                member.signals.append("taskkill /F")
            elif self._handles.look(member):
                listed = {True: "lists it", False: "does not list it", None: "did not answer"}
                seen = listed[self._helper.lists(member.pid, until)]
                member.note = (
                    f"{member.note or 'it did not die'}; taskkill /F: {answer}; tasklist {seen}"
                )


def _told(ask: Callable[[], _T]) -> _T | None:
    """Return what psutil tells; of who is just beginning or ending it lets Windows' errors through.

    Its reading of a command line gave ERROR_INVALID_PARAMETER there.
    """
    try:
        return _facts.told(ask)
    except OSError:
        return None


def _is_host(row: Row) -> bool:
    """Tell whether it is the host of a console."""
    return row.name.lower() == CONSOLE_HOST


def _note_sent(members: list[Member], pids: list[int], signal: str) -> None:
    """Note what was sent to those with these numbers."""
    for member in members:
        if member.pid in pids:
            member.signals.append(signal)
