"""The processes that are started in a span of time, and those that are left of them later."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable

from .._containment.containment import Containment
from .._engine.kill import kill_tree, snapshot_tree
from .._models.identity import ProcessIdentity
from .._models.tree import Evidence, TreeMember
from .servants import Found

SETTLE_TIME = 1.0
"""Seconds within which a fork has become a servant, and that of a dead program has ended.

multiprocessing awaits neither the start of a servant nor its end.
"""
SETTLE_POLL = 0.005  # seconds between two looks for that


class StartTracker:
    """Tracks the processes that one test or one fixture starts.

    They inherit a marker that is in ``os.environ`` meanwhile, daemons too. A forked child shows
    the environment from before, but it is new among the descendants of this process.
    """

    def __init__(self, name: str, ignored: Collection[str]) -> None:
        """Begin.

        Args:
            name: the test or the fixture, as the subject of a sentence.
            ignored: patterns of command lines that are no leftovers.
        """
        self._test = name
        self._ignored = ignored
        self._containment = Containment.prepare("session")
        self._variable, _, self._value = self._containment.marker.partition("=")
        found = self._search(None)  # the marker is in no process yet
        self._others = {member.identity for member in found}
        self._started: set[ProcessIdentity] = set()
        self.resume()

    def resume(self) -> None:
        """Put the marker into the environment."""
        os.environ[self._variable] = self._value

    def pause(self) -> None:
        """Take the marker out of the environment."""
        os.environ.pop(self._variable, None)

    def close(self) -> set[ProcessIdentity]:
        """End the span; return the processes that were started in it and live."""
        self.pause()
        found = self._search(self._containment.marker)
        self._started.update(
            member.identity
            for member in found
            if member.identity not in self._others and self._is_new(member, found)
        )
        return self._started

    def ignore(self, others: Iterable[ProcessIdentity]) -> None:
        """Leave processes to another tracker."""
        self._others.update(others)

    def end(self, *, kill: bool) -> str | None:
        """Return a sentence about the started processes that are left; None without any.

        Args:
            kill: whether to end them.
        """
        until = time.monotonic() + SETTLE_TIME
        found, left = self._left()
        while any(map(found.is_unsettled, left)) and time.monotonic() < until:
            time.sleep(SETTLE_POLL)
            found, left = self._left()
        if not left:
            return None
        names = ", ".join(f"{member.name or '?'} ({member.identity.pid})" for member in left)
        text = f"{self._test} left {names}"
        if kill:
            spare = [member.identity for member in found if found.is_left_alone(member)]
            result = kill_tree([member.identity for member in left], grace=0, spare=spare)
            if not result.ok:
                text += f"; {len(result.survivors)} could not be ended"
        return text

    def _left(self) -> tuple[Found, list[TreeMember]]:
        found = self._search(self._containment.marker)
        started = [
            member
            for member in found
            if Evidence.MARKER in member.evidence
            or any(ancestor.identity in self._started for ancestor in found.line(member))
        ]
        return found, [member for member in started if not found.is_left_alone(member)]

    def _is_new(self, member: TreeMember, found: Found) -> bool:
        """Whether the test started it, and not a process that was there before the test.

        A servant acts for the test: what a fork server has forked since is new.
        """
        return Evidence.MARKER in member.evidence or not any(
            ancestor.identity in self._others and not found.is_servant(ancestor)
            for ancestor in found.line(member)
        )

    def _search(self, marker: str | None) -> Found:
        """Look for our descendants and the carriers of the marker."""
        tree = snapshot_tree(os.getpid(), marker=marker, include_root=False)
        if tree.refusal is not None:  # we are init, in a container: orphans are children of ours
            tree = snapshot_tree(self._containment)
        return Found(tree.members, self._ignored)
