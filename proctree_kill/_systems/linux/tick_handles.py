"""Holding Linux processes by number and start ticks, where the kernel has no pidfds.

Before each signal the number is compared; what happens between the look and the signal stays a gap.
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
from . import procfs

FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.05
"""Seconds between two looks: short at first, then doubled up to the second."""

_T = TypeVar("_T")


class TickHandles:
    """Members known by their numbers; nothing is held open."""

    def __init__(self) -> None:
        """Prepare what wakes a wait."""
        self._wake = threading.Event()

    def open(self, pid: int) -> Member | None:
        """Read the facts of the process that has this number now."""
        leader = procfs.leader_of(pid)
        if leader is None:
            hidden = procfs.is_taken(pid) and not procfs.is_thread(pid)
            return procfs.unread(pid) if hidden else None
        if leader != pid:  # a thread has a folder in /proc as well
            return None
        found = procfs.stat(pid)
        return None if found is None else procfs.member(pid, found)

    def look(self, members: Sequence[Member]) -> list[Member]:
        """Return those who are dead, each with its state: a zombie still owns its number."""
        dead = []
        for one in members:
            found = procfs.stat(one.pid)
            if not _owns(one, found):
                one.state = GONE
            elif _is_zombie(one.pid, found):
                one.state = ZOMBIE
            else:
                continue
            dead.append(one)
        return dead

    def owns_number(self, one: Member) -> bool:
        """Whether it lives or has not been reaped, as far as can be known."""
        return _owns(one, procfs.stat(one.pid))

    def holds_session(self, leader: Member) -> bool:
        """Tell whether nobody else has the number; that it was free in between cannot be seen."""
        found = procfs.stat(leader.pid)
        return found is None or found.start == leader.start

    def group_remains(self, leader: Member) -> bool:  # noqa: ARG002 - as the other grip
        """Return False: the number of a group may have been used again."""
        return False

    def send(self, one: Member, number: int) -> None:
        """Signal the number after one more look at it.

        Raises:
            ProcessLookupError: it is gone.
            PermissionError: it is not ours to signal, or ``/proc`` hides by now whose number it is.
        """
        if one.pid <= 1 or not self.owns_number(one):
            raise ProcessLookupError
        if one.start is not None and procfs.stat(one.pid) is None:
            raise PermissionError
        os.kill(one.pid, number)

    def send_group(self, leader: Member, number: int) -> bool:  # noqa: ARG002 - as the other grip
        """Signal nobody: the number of a group may have been used again."""
        return False

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Look again and again until one of these is dead, until this time, or for a hurry."""
        pause = FIRST_PAUSE
        while not (dead := self.look(members)):
            left = until - time.monotonic()
            if left <= 0 or self._wake.wait(min(pause, left)):
                break
            pause = min(2 * pause, LONGEST_PAUSE)
        self._wake.clear()
        return dead

    def inspect(self, members: Iterable[Member]) -> None:
        """Fill in the exit codes of our own zombies, and reap those that nobody owns."""
        for one in members:
            if one.exit_code is None and self.owns_number(one):
                found = procfs.peek(one.pid)
                if found:
                    one.exit_code = procfs.exit_code(found)
                    if procfs.is_adopted(one):
                        os.waitpid(one.pid, os.WNOHANG)

    def drop(self, one: Member) -> None:
        """Let go: nothing is held."""

    def hurry(self) -> None:
        """Wake one wait."""
        self._wake.set()

    def close(self) -> None:
        """Give back nothing: nothing was opened."""

    def with_room(self, act: Callable[[], _T]) -> _T:
        """Do what opens a descriptor; we hold none that could be given up for it."""
        return act()


def _owns(one: Member, found: procfs.Stat | None) -> bool:
    """Whether the number can be the member's own; so where ``/proc`` does not show whose it is."""
    if found is not None and one.start is not None:
        return found.start == one.start
    if one.start is None and one.ppid == os.getpid():
        return procfs.is_our_child(one.pid)
    return procfs.is_taken(one.pid)


def _is_zombie(pid: int, found: procfs.Stat | None) -> bool:
    """Whether all threads of a process have ended; unseen in ``/proc``, of a child of ours only."""
    if found is None:
        return bool(procfs.peek(pid))
    return found.state in (b"Z", b"X") and procfs.threads(pid) <= 1
