"""A kqueue for Linux, as far as the library uses one: made of pidfds, it announces real exits."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Sequence
from typing import NamedTuple

from .pidfds import open_pidfd

KQ_FILTER_READ, KQ_FILTER_PROC = -1, -5
KQ_EV_ADD, KQ_EV_ONESHOT = 0x0001, 0x0010
KQ_NOTE_EXIT = 0x80000000


class Event(NamedTuple):
    """What ``select.kevent`` is."""

    ident: int
    filter: int
    flags: int = 0
    fflags: int = 0


class Queue:
    """What ``select.kqueue`` is; like macOS it refuses to watch a zombie.

    Attributes:
        refused: numbers that may not be watched.
        hints: exits that are announced next, true or not.
    """

    def __init__(self) -> None:
        self.refused: set[int] = set()
        self.hints: list[int] = []
        self._events: dict[int, Event] = {}

    def control(
        self, changes: Sequence[Event] | None, count: int, timeout: float | None = None
    ) -> list[Event]:
        """Add what is to be announced, then wait for announcements."""
        for event in changes or ():
            self._add(event)
        hinted = [Event(pid, KQ_FILTER_PROC) for pid in self.hints]
        self.hints = []
        if hinted or not count:
            return hinted
        poll = select.poll()
        for fd in self._events:
            poll.register(fd, select.POLLIN)
        ready = poll.poll(None if timeout is None else timeout * 1000)[:count]
        return [self._announced(fd) for fd, _ in ready]

    def close(self) -> None:
        for fd, event in self._events.items():
            if event.filter == KQ_FILTER_PROC:
                os.close(fd)

    def _add(self, event: Event) -> None:
        """Watch another process; a second request changes nothing."""
        if event.filter == KQ_FILTER_READ:
            self._events[event.ident] = event
            return
        if event.ident in self.refused:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        fd = open_pidfd(event.ident)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if poll.poll(0):
            os.close(fd)
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        if event in self._events.values():
            os.close(fd)
        else:
            self._events[fd] = event

    def _announced(self, fd: int) -> Event:
        """Return an event, and forget it if it comes once only."""
        event = self._events[fd]
        if event.flags & KQ_EV_ONESHOT:
            del self._events[fd]
            os.close(fd)
        return event


kqueue, kevent = Queue, Event
