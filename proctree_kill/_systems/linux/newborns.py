"""The processes that have started since a listing of ``/proc``: no parent is asked twice."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..member import Member
from . import procfs

LISTING = True
"""Whether listings are used; else all parents are asked for their children in every scan."""
MANY = 32
"""Members; to ask fewer costs less than a listing."""
SHARE = 8
"""A listing is made if there are more members than one in so many processes of the machine."""
STARTS_PER_SECOND = 1 << 17
"""More than a machine can start: so long no number is given out twice."""
MOST_STARTS = 4096
"""Numbers given out since a listing; after more, to ask the parents costs less."""


class Newborns:
    """Compares a listing of all processes with one that was made before their parents were asked.

    A number that was not in the first listing, or was given out since, is a newborn's. The kernel
    gives out numbers in turn, so the second are those between the youngest of then and of now.
    """

    def __init__(self) -> None:
        """Make no listing yet."""
        self._listed: set[str] = set()
        self._youngest = 0
        self._until = 0.0
        self._asked: set[Member] = set()
        self._is_older = False  # whether the listing is older than the present scan
        self._found: list[int] | None = None  # in the present scan

    def begin_scan(self, *, sure: bool) -> None:
        """Begin another scan; if the last one was unsure, forget the listing."""
        if not sure:
            self.forget()
        self._is_older = bool(self._listed)
        self._found = None

    def forget(self) -> None:
        """Ask all parents from now on."""
        self._is_older = False
        self._listed.clear()
        self._asked.clear()

    def prepare(self, count: int) -> None:
        """Make the listing, unless there is one, before the last of so many members are asked."""
        if not LISTING or self._listed or count <= MANY or count * SHARE <= procfs.count():
            return
        youngest = procfs.last_pid()
        if youngest is not None and not procfs.hides_processes():
            self._youngest = youngest
            self._until = time.monotonic() + procfs.pid_max() / STARTS_PER_SECOND
            self._listed = set(os.listdir("/proc"))

    def note(self, parent: Member) -> None:
        """Note that a parent with a single thread is asked, so that all its children are known."""
        if self._listed:
            self._asked.add(parent)

    def split(self, parents: Sequence[Member]) -> tuple[Sequence[Member], list[int]]:
        """Return the parents that must be asked in this scan, and the newborns of the machine."""
        if self._is_older and self._found is None:
            self._found = self._compare()
        if not self._is_older:
            return parents, []
        return [parent for parent in parents if parent not in self._asked], self._found or []

    def _compare(self) -> list[int]:
        names = set(os.listdir("/proc"))
        youngest = procfs.last_pid()
        started = -1 if youngest is None else youngest - self._youngest
        if not 0 <= started <= MOST_STARTS or time.monotonic() > self._until:
            self.forget()
            return []
        given_out = map(str, range(self._youngest + 1, self._youngest + started + 1))
        new = (names - self._listed) | names.intersection(given_out)
        return [int(name) for name in new if name.isdecimal()]
