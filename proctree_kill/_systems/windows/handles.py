"""Windows processes held by handles: a handle always means the same process."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Iterable, Sequence

from ..contract import Reply
from ..member import ALIVE, GONE, ZOMBIE, Member
from . import process_table, win32
from .process_table import ProcessTable, Row

PID_STEP = 4
"""Pids are multiples of this; OpenProcess ignores the bits below.

https://devblogs.microsoft.com/oldnewthing/20080606-00/?p=22043
"""
WATCH = win32.PROCESS_QUERY_LIMITED_INFORMATION | win32.SYNCHRONIZE
ACT = WATCH | win32.PROCESS_TERMINATE | win32.PROCESS_SUSPEND_RESUME
FORCE_CODE = 1
"""The exit code of a process that we end, as with ``Popen.kill()`` and taskkill."""
POLL = 0.02
"""Seconds between two looks where one wait cannot hold all members."""
LONGEST_MAIN_WAIT = 0.1
"""Seconds; Ctrl-C is raised in the main thread only between two waits."""
BATCH = win32.MAX_WAIT_HANDLES - 1
"""Members in one wait, which holds the wake-up event too."""


class WindowsHandles:
    """The members held, until it is closed.

    While a handle is open, no other process gets the number of its process, dead or alive.
    A process that refuses every right is known by number and creation time alone.
    """

    def __init__(self) -> None:
        """Make the event that wakes a wait."""
        self._held: dict[Member, None] = {}
        self._suspended: set[int] = set()
        self._wake: int | None = win32.event()

    def bind(self, pid: int) -> Member | None:
        """Open the process that has this number, and read its facts through the handle."""
        if pid % PID_STEP:
            return None
        try:
            handle = _open(pid)
        except PermissionError:
            row = process_table.read().rows.get(pid)
            return None if row is None else _described(row)
        if handle is None:
            return None
        member = Member(pid)
        self._hold(member, handle)
        try:
            basic = win32.basic(handle)
            member.ppid = basic.ppid if basic else None
            member.start, member.name = win32.created(handle), win32.image(handle)
        except BaseException:
            self.drop(member)
            raise
        if member.start is None:  # not known to happen; without it nothing can be compared
            self.drop(member)
            return None
        self.look(member)
        return member

    def bind_row(self, row: Row) -> Member | None:
        """Open the living process of a row; None if it is dead by now."""
        member = _described(row)
        try:
            handle = _open(row.pid)
        except PermissionError:
            return member
        if handle is None:
            return None
        self._hold(member, handle)
        if win32.created(handle) == row.start and self.look(member):
            return member
        self.drop(member)
        return None

    def drop(self, member: Member) -> None:
        """Close the handle of a member."""
        if self._held.pop(member, self) is None and member.handle is not None:
            win32.close(member.handle)
            member.handle = None

    def look(self, member: Member) -> bool:
        """Whether a member lives; its state is noted."""
        return not self.look_at([member])[1]

    def look_at(self, members: Collection[Member]) -> tuple[list[Member], list[Member]]:
        """Return the living and the dead; read the process table once, if at all."""
        table: ProcessTable | None = None
        for member in members:
            if member.handle is not None:
                dead = win32.wait([member.handle], 0) is not None
                member.state = ZOMBIE if dead else ALIVE
            elif member.state == ALIVE:
                table = table or process_table.read()
                row = table.rows.get(member.pid)
                member.state = ALIVE if row is not None and row.start == member.start else GONE
        return (
            [member for member in members if member.state == ALIVE],
            [member for member in members if member.state != ALIVE],
        )

    def suspend(self, members: Iterable[Member]) -> Reply:
        """Suspend these."""
        reply = Reply([], [])
        for member in members:
            if member.handle is not None and win32.suspend(member.handle):
                member.signals.append("NtSuspendProcess")
                self._suspended.add(member.pid)
            else:
                (reply.denied if self.look(member) else reply.gone).append(member)
        return reply

    def resume(self, members: Iterable[Member]) -> None:
        """Undo :meth:`suspend` and nothing else: suspensions are counted."""
        for member in members:
            if member.handle is not None and member.pid in self._suspended:
                self._suspended.discard(member.pid)
                if win32.resume(member.handle):
                    member.signals.append("NtResumeProcess")

    def suspended(self, pid: int) -> bool:
        """Whether :meth:`suspend` stopped this process."""
        return pid in self._suspended

    def terminate(self, members: Iterable[Member]) -> Reply:
        """End these."""
        # TerminateProcess answers "access denied" also for a dying process. Rights are checked
        # when a handle is opened: if the handle has the right, the process was not protected.
        # https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-terminateprocess
        reply = Reply([], [])
        for member in members:
            if member.handle is not None and win32.terminate(member.handle, FORCE_CODE):
                member.signals.append("TerminateProcess")
            elif not self.look(member):
                reply.gone.append(member)
            elif (
                member.handle is None or not win32.granted(member.handle) & win32.PROCESS_TERMINATE
            ):
                reply.denied.append(member)
        return reply

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Wait until one of these is dead, until this time, or for a hurry; return the dead."""
        held = [member for member in members if member.handle is not None]
        in_main_thread = threading.current_thread() is threading.main_thread()
        pause = LONGEST_MAIN_WAIT if in_main_thread else math.inf
        if not len(held) == len(members) <= BATCH:
            pause = POLL
        while True:
            others = [member for member in members if member.handle is None]
            dead = self._dead(held) + self.look_at(others)[1]
            left = until - time.monotonic()
            if dead or left <= 0:
                return dead
            handles = [*self._wakes(), *map(_handle, held[:BATCH])]
            if win32.wait(handles, min(left, pause)) == 0:  # the wake-up event
                return []

    def wait_for(self, handle: int, until: float) -> bool:
        """Wait until a handle is signalled, until a time, or for a hurry; return whether it is."""
        return win32.wait([handle, *self._wakes()], until - time.monotonic()) == 0

    def inspect(self, members: Iterable[Member]) -> None:
        """Read the exit codes of the dead."""
        for member in members:
            if member.handle is not None and member.exit_code is None and not self.look(member):
                member.exit_code = win32.exit_code(member.handle)

    def wake(self) -> None:
        """Wake one wait."""
        for wake in self._wakes():
            win32.set_event(wake)

    def close(self) -> None:
        """Close every handle."""
        for member in list(self._held):
            self.drop(member)
        for wake in self._wakes():
            self._wake = None
            win32.close(wake)

    def _hold(self, member: Member, handle: int) -> None:
        member.handle = handle
        self._held[member] = None

    def _wakes(self) -> list[int]:
        """Return the event that wakes a wait; nothing once it is closed."""
        return [] if self._wake is None else [self._wake]

    def _dead(self, held: list[Member]) -> list[Member]:
        """Return the dead among these, with one system call for each living batch."""
        dead = []
        while held:
            handles = list(map(_handle, held[: win32.MAX_WAIT_HANDLES]))
            first = win32.wait(handles, 0)
            if first is not None:
                held[first].state = ZOMBIE
                dead.append(held[first])
            held = held[len(handles) if first is None else first + 1 :]
        return dead


def _handle(member: Member) -> int:
    assert member.handle is not None  # only held members are waited for
    return member.handle


def _open(pid: int) -> int | None:
    """Open a process with as many rights as it grants; None if no process has this number.

    Raises:
        PermissionError: it grants no right.
    """
    try:
        return win32.open_process(pid, ACT)
    except PermissionError:
        return win32.open_process(pid, WATCH)


def may_end(pid: int) -> bool:
    """Whether the process that has a number lets us end it."""
    try:
        handle = win32.open_process(pid, ACT)
    except PermissionError:
        return False
    if handle is not None:
        win32.close(handle)
    return handle is not None


def _described(row: Row) -> Member:
    member = Member(row.pid, row.ppid)
    member.start, member.name = row.start, row.name
    return member
