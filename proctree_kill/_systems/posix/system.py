"""macOS and BSD: sessions, process groups, and kqueue instead of looking again and again."""

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
from ..psutil_system import PsutilSystem

KQUEUE = hasattr(select, "kqueue")
"""Whether the kernel tells of exits; else they are looked for."""
CONFIRMATION = 0.05
"""Seconds within which an exit that was announced can be seen."""

LONGEST_WAIT = 86_400.0
"""Seconds that are handed to kevent(2) at most; whoever waits longer asks again."""

_os: Any = os  # what Windows has not, the type checkers know on POSIX only
_select: Any = select
_signal: Any = signal


class PosixSystem(PsutilSystem):
    """One kill on macOS, on BSD, or on any other POSIX system."""

    def __init__(self) -> None:
        """Open the queue of exits where there is one."""
        super().__init__()
        self._exits = ExitQueue() if KQUEUE else None

    def session(self, pid: int) -> int | None:
        """Ask the kernel; OpenBSD tells of the caller's own session only (getsid(2), EPERM)."""
        try:
            sid: int = _os.getsid(pid)
        except (ProcessLookupError, PermissionError):
            return None
        return sid

    def carries(self, pid: int, markers: Collection[bytes]) -> bool | None:
        """Look into the environment; what hides it and is not ours to signal is left alone."""
        found = super().carries(pid, markers)
        return False if found is None and not _may_signal(pid) else found

    def holds_session(self, leader: Member) -> bool:
        """Tell whether nobody else has the number; that it was free in between cannot be seen."""
        return self.owns_number(leader) or not psutil.pid_exists(leader.pid)

    def freeze(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:
        """Stop the groups at once, then everybody."""
        for leader in groups:
            self._signal_group(leader, _signal.SIGSTOP)
        return super().freeze(members, groups)

    def kill(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:
        """Kill everybody, then whoever else is in the groups."""
        reply = super().kill(members, groups)
        for leader in groups:
            self._signal_group(leader, _signal.SIGKILL)
        return reply

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Wait for the kernel's word; what it announces is looked at before it is believed."""
        if self._exits is None:
            return super().wait(members, until)
        woken = False
        while not woken and self.now() < until:
            try:
                dead = [one for one in members if not self._watch(one, self._exits)]
            except OSError:  # no memory for it, or a process that may not be watched
                return super().wait(members, until)
            if dead:
                return dead
            announced, woken = self._exits.listen(until - self.now())
            confirmed_by = self.now() + CONFIRMATION
            for one in announced:
                super().wait([one], confirmed_by)
        return super().wait(members, self.now())

    def hurry(self) -> None:
        """Wake one wait, of either kind."""
        super().hurry()
        if self._exits is not None:
            self._exits.wake()

    def close(self) -> None:
        """Close the queue."""
        super().close()
        if self._exits is not None:
            self._exits.close()

    def _watch(self, one: Member, exits: ExitQueue) -> bool:
        """See to it that an exit will be announced; False where it is dead already.

        The look after the registration proves that no later owner of the number is watched.
        """
        if one in exits.watched:
            return True
        watched = exits.watch(one)
        if self._living(one) is None:
            exits.forget(one)
            return False
        return watched

    def _is_older(
        self,
        child: float | None,  # noqa: ARG002 - the clock may have been set between the births
        parent: float | None,  # noqa: ARG002 - as above
    ) -> bool:
        """Return False: on POSIX the kernel keeps parent ids true."""
        return False

    def _signal_group(self, leader: Member, number: int) -> None:
        """Signal the group of a root that leads its session and still has its number.

        The group has that number too, and keeps it at least as long (credentials(7)).
        """
        if leader.sid != leader.pid or not self.owns_number(leader):
            return
        # EPERM is the answer for a group of zombies on macOS, and proves nothing;
        # each member is signalled on its own as well.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            _os.killpg(leader.pid, number)


def _may_signal(pid: int) -> bool:
    """Whether the process that has this number, if any, would take a signal of ours (kill(2))."""
    try:
        _os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


class ExitQueue:
    """A kqueue that announces exits (kqueue(2), EVFILT_PROC), and a pipe that wakes who listens.

    Attributes:
        watched: whose exit will be announced.
    """

    def __init__(self) -> None:
        """Open the queue, with the pipe in it."""
        self.watched: dict[Member, None] = {}
        self._pids: dict[int, Member] = {}
        with contextlib.ExitStack() as opened:  # closes what was opened before a failure
            self._queue = opened.enter_context(contextlib.closing(_select.kqueue()))
            self._ear, self._voice = os.pipe()
            for end in (self._ear, self._voice):
                opened.callback(os.close, end)
                _os.set_blocking(end, False)
            self._register(self._ear, _select.KQ_FILTER_READ, _select.KQ_EV_ADD)
            opened.pop_all()

    def watch(self, one: Member) -> bool:
        """Have an exit announced, once; False where nobody alive has this number.

        Raises:
            OSError: the kernel cannot or may not watch it.
        """
        flags = _select.KQ_EV_ADD | _select.KQ_EV_ONESHOT
        try:
            self._register(one.pid, _select.KQ_FILTER_PROC, flags, _select.KQ_NOTE_EXIT)
        except ProcessLookupError:
            return False
        self.watched[one] = None
        self._pids[one.pid] = one
        return True

    def listen(self, seconds: float) -> tuple[list[Member], bool]:
        """Return whose exit is announced, and whether :meth:`wake` was called.

        An announcement is a hint: it comes just before the process can be reaped,
        and one that came late may be of an earlier owner of the number.
        """
        seconds = min(max(seconds, 0), LONGEST_WAIT)
        events = self._queue.control(None, len(self._pids) + 1, seconds)
        woken = any(event.filter == _select.KQ_FILTER_READ for event in events)
        if woken:
            os.read(self._ear, 1)
        pids = [event.ident for event in events if event.filter == _select.KQ_FILTER_PROC]
        announced = [self._pids[pid] for pid in pids if pid in self._pids]
        for one in announced:
            self.forget(one)
        return announced, woken

    def forget(self, one: Member) -> None:
        """Let a member be watched anew."""
        self.watched.pop(one, None)
        if self._pids.get(one.pid) is one:
            del self._pids[one.pid]

    def wake(self) -> None:
        """Wake who listens; callable from any thread, but not after :meth:`close`."""
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._voice, b"!")

    def close(self) -> None:
        """Close everything."""
        self._queue.close()
        os.close(self._ear)
        os.close(self._voice)

    def _register(self, ident: int, kind: int, flags: int, notes: int = 0) -> None:
        """Add one event to those that are announced."""
        self._queue.control([_select.kevent(ident, kind, flags, notes)], 0)
