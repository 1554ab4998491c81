"""Watching who is started in a span of time, and who of them is still there later."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable

from .._containment.containment import Containment
from .._engine.kill import kill_tree, snapshot_tree
from .._models.identity import ProcessIdentity
from .._models.tree import Evidence, TreeMember

SERVANTS = (
    ("multiprocessing.resource_tracker", "_resource_tracker", "_pid"),
    ("multiprocessing.forkserver", "_forkserver", "_forkserver_pid"),
)
"""Where the standard library keeps the numbers of helpers that it starts for the whole process."""

Line = list[ProcessIdentity]
"""A process and its ancestors, as far as they are below this one."""


class Watch:
    """The span in which one test, or one fixture, may start processes.

    What it starts inherits a marker that stands in ``os.environ`` meanwhile, daemons too.
    It is new among our descendants as well: a forked child shows the environment we began with.
    """

    def __init__(self, who: str) -> None:
        """Begin; ``who`` is the subject of a sentence."""
        self.who = who
        self._containment = Containment.prepare("session")
        self._name, _, self._value = self._containment.marker.partition("=")
        self._others = {line[0] for _, line in self._look(None)}  # nobody has the marker yet
        self._mine: set[ProcessIdentity] = set()
        self.resume()

    def resume(self) -> None:
        """Let the marker be inherited."""
        os.environ[self._name] = self._value

    def pause(self) -> None:
        """Let it be inherited no more."""
        os.environ.pop(self._name, None)

    def close(self) -> set[ProcessIdentity]:
        """End the span, and return who was started in it and is there."""
        self.pause()
        self._mine.update(one.identity for one in self._among(self._is_new))
        return self._mine

    def leave(self, others: Iterable[ProcessIdentity]) -> None:
        """Leave to another span whom that started."""
        self._others.update(others)

    def end(self) -> str | None:
        """End whoever is left of those who were started; say who that was, if there was anybody."""
        left = self._among(lambda line: not self._mine.isdisjoint(line))
        if not left:
            return None
        result = kill_tree([one.identity for one in left], grace=0)
        names = ", ".join(f"{one.name or '?'} ({one.identity.pid})" for one in left)
        alive = "" if result.ok else f"; {len(result.survivors)} could not be ended"
        return f"{self.who} left {names}{alive}"

    def _is_new(self, line: Line) -> bool:
        """Tell whether somebody was started here, by nobody who was there before."""
        return self._others.isdisjoint(line)

    def _among(self, mine: Callable[[Line], bool]) -> list[TreeMember]:
        """Return who carries the marker, and who else is meant."""
        return [
            one
            for one, line in self._look(self._containment.marker)
            if Evidence.MARKER in one.evidence or mine(line)
        ]

    def _look(self, marker: str | None) -> list[tuple[TreeMember, Line]]:
        """Return our descendants and who carries the marker, each with its line; no servants."""
        whole = snapshot_tree(os.getpid(), marker=marker, include_root=False)
        if whole.refusal is not None:  # we are init, in a container: orphans hang below us
            whole = snapshot_tree(self._containment)
        servants = _servants()
        members = {one.identity.pid: one for one in whole.members}
        lines = [(one, _line(one, members)) for one in whole.members]
        return [pair for pair in lines if servants.isdisjoint(one.pid for one in pair[1])]


def _line(one: TreeMember | None, members: dict[int, TreeMember]) -> Line:
    """Return a member and its ancestors among the members."""
    line: Line = []
    while one is not None and one.identity not in line:
        line.append(one.identity)
        one = members.get(one.ppid or 0)
    return line


def _servants() -> set[int]:
    """Return the numbers of the standard library's own helpers, which end with this process."""
    homes = [getattr(sys.modules.get(module), name, None) for module, name, _ in SERVANTS]
    numbers = (getattr(home, pid, None) for home, (_, _, pid) in zip(homes, SERVANTS, strict=True))
    return {one for one in numbers if isinstance(one, int)}
