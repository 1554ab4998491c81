"""The processes that are started in a span of time, and those that are left of them later."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable

from .._containment.containment import Containment
from .._engine.kill import kill_tree, snapshot_tree
from .._models.identity import ProcessIdentity
from .._models.tree import Evidence, TreeMember

HELPERS = (
    ("multiprocessing.resource_tracker", "_resource_tracker", "_pid"),
    ("multiprocessing.forkserver", "_forkserver", "_forkserver_pid"),
)
"""Module, object and attribute of the pids of helpers that the standard library starts."""

Line = list[ProcessIdentity]
"""A process and its ancestors, as far as they are below this process."""


class StartTracker:
    """Tracks the processes that one test or one fixture starts.

    They inherit a marker that is in ``os.environ`` meanwhile, daemons too. A forked child shows
    the environment from before, but it is new among the descendants of this process.
    """

    def __init__(self, name: str) -> None:
        """Begin. ``name`` is the test or the fixture, as the subject of a sentence."""
        self._test = name
        self._containment = Containment.prepare("session")
        self._variable, _, self._value = self._containment.marker.partition("=")
        self._others = {line[0] for _, line in self._scan(None)}  # the marker is in no process yet
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
        self._started.update(member.identity for member in self._find(self._others.isdisjoint))
        return self._started

    def ignore(self, others: Iterable[ProcessIdentity]) -> None:
        """Leave processes to another tracker."""
        self._others.update(others)

    def end(self) -> str | None:
        """End the started processes that are left; return a sentence about them, if any."""
        left = self._find(lambda line: not self._started.isdisjoint(line))
        if not left:
            return None
        result = kill_tree([member.identity for member in left], grace=0)
        names = ", ".join(f"{member.name or '?'} ({member.identity.pid})" for member in left)
        alive = "" if result.ok else f"; {len(result.survivors)} could not be ended"
        return f"{self._test} left {names}{alive}"

    def _find(self, is_ours: Callable[[Line], bool]) -> list[TreeMember]:
        return [
            member
            for member, line in self._scan(self._containment.marker)
            if Evidence.MARKER in member.evidence or is_ours(line)
        ]

    def _scan(self, marker: str | None) -> list[tuple[TreeMember, Line]]:
        """Return our descendants and the carriers of the marker, each with its line."""
        tree = snapshot_tree(os.getpid(), marker=marker, include_root=False)
        if tree.refusal is not None:  # we are init, in a container: orphans are children of ours
            tree = snapshot_tree(self._containment)
        helpers = _helper_pids()
        members = {member.identity.pid: member for member in tree.members}
        lines = [(member, _line(member, members)) for member in tree.members]
        return [
            (member, line)
            for member, line in lines
            if helpers.isdisjoint(identity.pid for identity in line)
        ]


def _line(member: TreeMember | None, members: dict[int, TreeMember]) -> Line:
    line: Line = []
    while member is not None and member.identity not in line:
        line.append(member.identity)
        member = members.get(member.ppid or 0)
    return line


def _helper_pids() -> set[int]:
    owners = [getattr(sys.modules.get(module), name, None) for module, name, _ in HELPERS]
    pids = (getattr(owner, pid, None) for owner, (_, _, pid) in zip(owners, HELPERS, strict=True))
    return {pid for pid in pids if isinstance(pid, int)}
