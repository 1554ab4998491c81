"""Windows: handles, parent links that are checked by age, consoles and windows."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from .. import psutil_facts as _facts
from ..contract import CpuSeconds, Details, Reply, System
from ..member import GONE, Member
from ..psutil_lookup import name_among
from . import console, process_table, win32
from .handles import FORCE_CODE, PID_STEP, WindowsHandles, may_end
from .helper import Helper
from .process_table import ProcessTable, Row
from .taskkill import Answer, batches

_T = TypeVar("_T")
CONSOLE_HOST = "conhost.exe"
"""The process of a console; by its parent id it is the child of the process that opened it.

It ends with the last process of its console. If it is ended earlier, all of these end too.
So it belongs to no tree; its children do.
https://learn.microsoft.com/windows/console/definitions#console-host
"""
BREAK_TIMEOUT = 1.0
"""Seconds that the console may take to accept a CTRL_BREAK."""
FILETIME_HZ = 10_000_000
"""Units of a FILETIME in a second."""
CLOCK_STEP = 60 * FILETIME_HZ
"""By how much the clock may be set back while a tree runs, in units of a FILETIME."""
PROTECTED = {0: "it is the System Idle Process", 4: "it is the System process"}


class WindowsSystem(System):
    """Windows during one kill; :class:`~..contract.System` says what each method promises.

    A process keeps its parent's number when the parent dies, and an open handle keeps that number
    from being used again: so the children of dead members are found as well.
    A process that is older than its parent is the child of an earlier owner of the number.

    Freezing is safe: a suspended process starts no other, TerminateProcess ends it all the same,
    and suspensions are counted, so that resuming undoes only our own. A child whose creation had
    begun appears in the next scan.
    """

    insists = True
    force_code = FORCE_CODE
    keeps_links = True
    sums_reaped = False

    def __init__(self, helper_timeout: float) -> None:
        """Begin with no process held.

        Args:
            helper_timeout: seconds that taskkill or tasklist may take.
        """
        self._handles = WindowsHandles()
        self._helper = Helper(helper_timeout, self._wait_for_tool)
        self._table: ProcessTable | None = None

    def begin_scan(self) -> None:
        """Forget the process table."""
        self._table = None

    def refusal(self, pid: int, member: Member | None) -> str | None:
        """Refuse the system's own processes, and thread ids."""
        if pid in PROTECTED:
            return PROTECTED[pid]
        process = None if member or pid % PID_STEP else win32.process_of_thread(pid)
        if process is None:
            return None
        return f"it is a thread id; the process of that thread is {process}"

    def bind(self, pid: int) -> Member | None:
        """Open the process that has this number."""
        return self._handles.bind(pid)

    def children(
        self, parents: Sequence[Member], known: Mapping[int, Member]
    ) -> list[tuple[Member, Member]]:
        """Look the parents up in the process table of this scan.

        All in it lived at the same moment, so its links are right even if a process died since.
        """
        return [
            (parent, child)
            for parent in parents
            if parent.start is not None and parent.state != GONE
            for child in self._below(parent.pid, parent.start, known)
        ]

    def owns_number(self, member: Member) -> bool:
        """Whether our handle reserves the number, or it still leads to this process."""
        return member.handle is not None or self._handles.look(member)

    def drop(self, member: Member) -> None:
        """Close its handle."""
        self._handles.drop(member)

    def candidates(self, roots: Sequence[Member], **_: bool) -> Iterable[int]:  # noqa: ARG002 - all
        """List all processes but the system's: an orphan gets no other parent."""
        rows = self._read_table().rows.values()
        return [row.pid for row in rows if row.pid not in PROTECTED and not _is_host(row)]

    def start_clock(self) -> int:
        """Return the time as a FILETIME."""
        return win32.now()

    def carries(self, pid: int, markers: Collection[bytes], since: int = 0) -> bool | None:
        """Look into the environment; psutil shows its names in upper case."""
        row = self._read_table().rows.get(pid) if since else None
        if row is not None and row.start < since - CLOCK_STEP:  # the clock may have been set back
            return False
        environment = _facts.environment(pid, may_block=False)
        if environment is None:
            return None if may_end(pid) else False
        wanted = (os.fsdecode(marker).partition("=") for marker in markers)
        return any(environment.get(name.upper()) == value for name, _, value in wanted)

    def ancestors(self, pid: int) -> list[int]:
        """Follow the parents, up to one that is younger than its child."""
        return self._read_table().ancestors(pid)

    def ask(
        self, members: Iterable[Member], signal_name: str, until: float, others: Sequence[Member]
    ) -> Reply:
        """Send CTRL_BREAK to console groups and WM_CLOSE to windows, where that reaches these.

        Each stands for SIGTERM; Windows has no other request that reaches one process.
        """
        living, gone = self._handles.look_at([*members])
        if signal_name not in ("SIGTERM", "SIGBREAK"):
            _mark_unreachable(living, dict.fromkeys(living, f"{signal_name} cannot be sent here"))
            return Reply(gone, [])
        more = self._handles.look_at(others)[0]
        before = {member: len(member.signals) for member in [*living, *more]}
        reached, reasons = console.read_groups(os.getpid()).reach(
            [member.pid for member in living], [member.pid for member in more]
        )
        answers = console.send_breaks(reached, min(until, self.now() + BREAK_TIMEOUT))
        for group, pids in reached.items():
            if answers.get(group):
                _note_sent([*living, *more], pids, "CTRL_BREAK")
            else:
                why = "was refused" if group in answers else "did not come through"
                reasons.update(dict.fromkeys(pids, f"CTRL_BREAK {why}"))
        windows = console.owners_of_windows()
        self._close_windows([member for member in living if member.pid in windows], reasons, until)
        asked = [member for member, count in before.items() if len(member.signals) > count]
        for member in asked:  # an earlier request may not have reached it
            member.unreachable = False
        unasked = [member for member in living if member not in asked]
        _mark_unreachable(unasked, {member: reasons[member.pid] for member in unasked})
        return Reply(gone, [], tuple(member for member in more if member in asked))

    def freeze(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:  # noqa: ARG002 - there are none
        """Suspend each."""
        return self._handles.suspend(members)

    def prove_stopped(self, members: Iterable[Member], until: float) -> None:
        """Do nothing: a suspended process starts no other."""

    def kill(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:  # noqa: ARG002 - there are none
        """End each."""
        reply = self._handles.terminate(members)
        for member in reply.denied:
            member.note = "TerminateProcess was refused"
        return reply

    def insist(self, members: Iterable[Member], until: float) -> Reply:
        """Let taskkill try, which can use a privilege that this process does not enable."""
        living, gone = self._handles.look_at([*members])
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
        """Resume the members that we suspended."""
        self._handles.resume(members)

    def stopped(self, pid: int) -> bool:
        """Whether we suspended it: only then may we resume it."""
        return self._handles.suspended(pid)

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Wait on the handles."""
        return self._handles.wait(members, until)

    def inspect(self, members: Iterable[Member]) -> None:
        """Read the exit codes through the handles; nothing needs to be reaped."""
        self._handles.inspect(members)

    def cpu_used(self, members: Iterable[Member]) -> CpuSeconds | None:
        """Ask through the handles, which tell of the dead as well."""
        handles = [member.handle for member in members if member.handle is not None]
        if not (told := list(filter(None, map(win32.cpu, handles)))):
            return None
        user, system = map(sum, zip(*told, strict=True))
        return CpuSeconds(user / FILETIME_HZ, system / FILETIME_HZ)

    def arguments(self, member: Member) -> Sequence[str]:
        """Ask psutil, which reads the memory of the process."""
        process = _facts.find(member.pid)
        return () if process is None else _read(process.cmdline) or ()

    def name_among(self, member: Member, names: Collection[str]) -> str | None:
        """Compare the name in the process table: a process has one program here."""
        return None if member.name is None else name_among(member.name, names)

    def details(self, member: Member) -> Details:
        """Ask psutil."""
        process = _facts.find(member.pid)
        if process is None:
            return Details()
        seconds = None if member.start is None else (win32.now() - member.start) / FILETIME_HZ
        return Details(_read(process.username), " ".join(self.arguments(member)) or None, seconds)

    def wake(self) -> None:
        """Wake one wait."""
        self._handles.wake()

    def close(self) -> None:
        """Close every handle."""
        self._handles.close()

    def _wait_for_tool(self, handle: int, until: float) -> bool:
        """Wait for the end of a helper program, until a time or for a hurry."""
        while not self._handles.wait_for(handle, until):
            # A shutdown hook that ends wakes a wait too; it ends no helper.
            if self.hurried or self.now() >= until:
                return False
        return True

    def _read_table(self) -> ProcessTable:
        if self._table is None:
            self._table = process_table.read()
        return self._table

    def _below(self, pid: int, start: int, known: Mapping[int, Member]) -> Iterator[Member]:
        """Open the children of a process, and instead of a dead child its children."""
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

    def _close_windows(self, owners: list[Member], reasons: dict[int, str], until: float) -> None:
        """Ask for the windows of these to be closed; if that fails for a batch, one by one."""
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
        """Let taskkill end these; the note of a survivor has its answer and that of tasklist."""
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


def _read(call: Callable[[], _T]) -> _T | None:
    """Return what psutil says.

    It raises Windows' errors for a process that is just starting or ending: reading a command line
    gave ERROR_INVALID_PARAMETER.
    """
    try:
        return _facts.read(call)
    except OSError:
        return None


def _is_host(row: Row) -> bool:
    return row.name.lower() == CONSOLE_HOST


def _mark_unreachable(members: Iterable[Member], reasons: Mapping[Member, str]) -> None:
    for member in members:
        member.unreachable, member.note = True, f"it could not be asked: {reasons[member]}"


def _note_sent(members: list[Member], pids: list[int], signal: str) -> None:
    for member in members:
        if member.pid in pids:
            member.signals.append(signal)
