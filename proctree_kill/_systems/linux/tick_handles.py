"""Linux processes by number and start ticks, where the kernel has no pidfds.

The start ticks are compared before each signal; a gap between that look and the signal stays.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..member import GONE, ZOMBIE, Member
from ..pid import exit_code, peek
from . import procfs

FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.05
"""Seconds between two looks; the pause doubles up to the second."""

_T = TypeVar("_T")


class TickHandles:
    """Members known by their numbers; nothing is held open."""

    def __init__(self) -> None:
        """Make the event that wakes a wait."""
        self._wake = threading.Event()

    def expect(self, count: float) -> None:
        """Prepare nothing: no member is held."""

    def open(self, pid: int) -> Member | None:
        """Read the facts of the process that has this number now."""
        leader = procfs.leader_of(pid)
        if leader is None:
            hidden = procfs.is_taken(pid) and not procfs.is_thread(pid)
            return procfs.hidden_member(pid) if hidden else None
        if leader != pid:  # a thread, which can be read in /proc as well
            return None
        return procfs.member(pid)

    def look(self, members: Sequence[Member]) -> list[Member]:
        """Return the dead, each with its state."""
        dead = []
        for member in members:
            found = procfs.stat(member.pid)
            if not _owns(member, found):
                member.state = GONE
            elif _is_zombie(member.pid, found):
                member.state = ZOMBIE
            else:
                continue
            dead.append(member)
        return dead

    def owns_number(self, member: Member) -> bool:
        """Whether it lives or has not been reaped, as far as can be known."""
        return _owns(member, procfs.stat(member.pid))

    def holds_session(self, leader: Member) -> bool:
        """Whether no other process has the number; that it was free in between cannot be seen."""
        found = procfs.stat(leader.pid)
        return found is None or found.start == leader.start

    def group_remains(self, leader: Member) -> bool:  # noqa: ARG002 - as PidfdHandles
        """Return False: the number of a group may have been used again."""
        return False

    def send(self, member: Member, number: int) -> None:
        """Signal the number after one more look at it.

        Raises:
            ProcessLookupError: it is gone.
            PermissionError: we may not signal it, or ``/proc`` hides its start ticks by now.
        """
        if member.pid <= 1 or not self.owns_number(member):
            raise ProcessLookupError
        if member.start is not None and procfs.stat(member.pid) is None:
            raise PermissionError
        os.kill(member.pid, number)

    def send_group(self, leader: Member, number: int) -> bool:  # noqa: ARG002 - as PidfdHandles
        """Return False: the number of a group may have been used again."""
        return False

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Look with growing pauses until a member is dead, until this time, or for a hurry."""
        pause = FIRST_PAUSE
        while not (dead := self.look(members)):
            left = until - time.monotonic()
            if left <= 0 or self._wake.wait(min(pause, left)):
                break
            pause = min(2 * pause, LONGEST_PAUSE)
        self._wake.clear()
        return dead

    def inspect(self, members: Iterable[Member]) -> None:
        """Fill in the exit codes of our own zombies, and reap the adopted."""
        for member in members:
            if member.exit_code is None and self.owns_number(member):
                found = peek(member.pid)
                if found:
                    member.exit_code = exit_code(found)
                    if procfs.is_adopted(member):
                        os.waitpid(member.pid, os.WNOHANG)

    def drop(self, member: Member) -> None:
        """Do nothing: no descriptor is held."""

    def wake(self) -> None:
        """Wake one wait."""
        self._wake.set()

    def close(self) -> None:
        """Do nothing: no descriptor is held."""

    def make_room(self, error: OSError) -> None:
        """Raise the error: nothing is held that could be closed."""
        raise error

    def with_room(self, act: Callable[[], _T]) -> _T:
        """Do what opens a descriptor; none is held that could be closed for it."""
        return act()


def _owns(member: Member, found: procfs.Stat | None) -> bool:
    """Whether the number may be the member's; so where ``/proc`` does not show its process."""
    if found is not None and member.start is not None:
        return found.start == member.start
    if member.start is None and member.ppid == os.getpid():
        return procfs.is_our_child(member.pid)
    return procfs.is_taken(member.pid)


def _is_zombie(pid: int, found: procfs.Stat | None) -> bool:
    """Whether all threads of a process have ended; a hidden one must be our child to be known."""
    if found is None:
        return bool(peek(pid))
    return found.state in (b"Z", b"X") and procfs.threads(pid) <= 1
