"""macOS and BSD: sessions, process groups, and kqueue instead of polling."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import psutil

from ..contract import Reply
from ..member import Member
from ..pid import may_signal
from ..psutil_system import PsutilSystem

KQUEUE = hasattr(select, "kqueue")
"""Whether the kernel announces exits; else they are polled for."""
CONFIRMATION = 0.05
"""Seconds within which an announced exit can be seen."""
LONGEST_WAIT = 86_400.0
"""Seconds that are handed to kevent(2) at most; a longer wait is several."""

_os: Any = os  # type checkers know some of its functions on POSIX only
_select: Any = select
_signal: Any = signal


class PosixSystem(PsutilSystem):
    """One kill on macOS, on BSD, or on any other POSIX system."""

    def __init__(self) -> None:
        """Open the queue of exits where there is one."""
        super().__init__()
        self._exits = ExitQueue() if KQUEUE else None

    def session(self, pid: int) -> int | None:
        """Ask getsid(2); on OpenBSD it knows the caller's own session only (EPERM)."""
        try:
            sid: int = _os.getsid(pid)
        except (ProcessLookupError, PermissionError):
            return None
        return sid

    def group(self, pid: int) -> int | None:
        """Ask getpgid(2), which may refuse outside of the caller's session, as getsid(2) does."""
        try:
            pgid: int = _os.getpgid(pid)
        except (ProcessLookupError, PermissionError):
            return None
        return pgid

    def carries(self, pid: int, markers: Collection[bytes], since: int = 0) -> bool | None:
        """Look into the environment; what hides it and may not be signalled carries none."""
        found = super().carries(pid, markers, since)
        return False if found is None and not may_signal(pid) else found

    def holds_session(self, leader: Member) -> bool:
        """Whether no other process has the number; that it was free in between cannot be seen."""
        return self.owns_number(leader) or not psutil.pid_exists(leader.pid)

    def freeze(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:
        """Stop the groups, which is atomic against a fork, then each member."""
        for leader in groups:
            self._signal_group(leader, _signal.SIGSTOP)
        return super().freeze(members, groups)

    def kill(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:
        """Kill each member, then what else is in the groups."""
        reply = super().kill(members, groups)
        for leader in groups:
            self._signal_group(leader, _signal.SIGKILL)
        return reply

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Wait until the kernel announces an exit, and check it."""
        if self._exits is None:
            return super().wait(members, until)
        woken = False
        while not woken and self.now() < until:
            try:
                dead = [member for member in members if not self._watch(member, self._exits)]
            except OSError:  # no memory for it, or a process that may not be watched
                return super().wait(members, until)
            if dead:
                return dead
            announced, woken = self._exits.receive(until - self.now())
            confirmed_by = self.now() + CONFIRMATION
            for member in announced:
                super().wait([member], confirmed_by)
        return super().wait(members, self.now())

    def wake(self) -> None:
        """Wake one wait, of either kind."""
        super().wake()
        if self._exits is not None:
            self._exits.wake()

    def close(self) -> None:
        """Close the queue."""
        super().close()
        if self._exits is not None:
            self._exits.close()

    def _watch(self, member: Member, exits: ExitQueue) -> bool:
        """Have its exit announced; False where it is dead already."""
        if member in exits.watched:
            return True
        watched = exits.watch(member)
        # Alive after the registration: no later owner of its number is watched.
        if self._living(member) is None:
            exits.forget(member)
            return False
        return watched

    def _is_older(self, *_: object) -> bool:
        # The clock may have been set in between, and POSIX kernels keep parent ids up to date.
        return False

    def _signal_group(self, leader: Member, number: int) -> None:
        """Signal the group of a root that leads its session and still has its number."""
        # The group keeps that number at least as long (credentials(7)).
        if leader.sid != leader.pid or not self.owns_number(leader):
            return
        # macOS answers EPERM for a group of zombies: it proves nothing.
        # Each member is signalled on its own as well.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            _os.killpg(leader.pid, number)


class ExitQueue:
    """A kqueue that announces exits (kqueue(2), EVFILT_PROC), and a pipe that wakes its reader.

    Attributes:
        watched: the members with an exit to be announced.
    """

    def __init__(self) -> None:
        """Open the queue, with the pipe in it."""
        self.watched: dict[Member, None] = {}
        self._pids: dict[int, Member] = {}
        with contextlib.ExitStack() as opened:  # closes what was opened before a failure
            self._queue = opened.enter_context(contextlib.closing(_select.kqueue()))
            self._wake_read, self._wake_write = os.pipe()
            for end in (self._wake_read, self._wake_write):
                opened.callback(os.close, end)
                _os.set_blocking(end, False)
            self._register(self._wake_read, _select.KQ_FILTER_READ, _select.KQ_EV_ADD)
            opened.pop_all()

    def watch(self, member: Member) -> bool:
        """Have an exit announced, once; False where no living process has this number.

        Raises:
            OSError: the kernel cannot or may not watch it.
        """
        flags = _select.KQ_EV_ADD | _select.KQ_EV_ONESHOT
        try:
            self._register(member.pid, _select.KQ_FILTER_PROC, flags, _select.KQ_NOTE_EXIT)
        except ProcessLookupError:
            return False
        self.watched[member] = None
        self._pids[member.pid] = member
        return True

    def receive(self, seconds: float) -> tuple[list[Member], bool]:
        """Wait; return the members with an announced exit, and whether :meth:`wake` was called.

        An announcement must be checked: it comes just before the process can be reaped,
        and a late one may be of an earlier owner of the number.
        """
        seconds = min(max(seconds, 0), LONGEST_WAIT)
        events = self._queue.control(None, len(self._pids) + 1, seconds)
        woken = any(event.filter == _select.KQ_FILTER_READ for event in events)
        if woken:
            os.read(self._wake_read, 1)
        pids = [event.ident for event in events if event.filter == _select.KQ_FILTER_PROC]
        announced = [self._pids[pid] for pid in pids if pid in self._pids]
        for member in announced:
            self.forget(member)
        return announced, woken

    def forget(self, member: Member) -> None:
        """Forget a member, so that it can be watched again."""
        self.watched.pop(member, None)
        if self._pids.get(member.pid) is member:
            del self._pids[member.pid]

    def wake(self) -> None:
        """Wake :meth:`receive`; callable from any thread, but not after :meth:`close`."""
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._wake_write, b"!")

    def close(self) -> None:
        """Close everything."""
        self._queue.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _register(self, ident: int, kind: int, flags: int, notes: int = 0) -> None:
        self._queue.control([_select.kevent(ident, kind, flags, notes)], 0)
