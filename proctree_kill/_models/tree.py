"""Trees as values: evidence, members, snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from .base import Model
from .identity import ProcessIdentity


class Glyphs(NamedTuple):
    """What the lines are made of."""

    child: str
    last_child: str
    passing: str
    nothing: str


LINES = Glyphs("├─ ", "└─ ", "│  ", "   ")
ASCII = Glyphs("|- ", "`- ", "|  ", "   ")


class Evidence(StrEnum):
    """Why a process belongs to a tree."""

    ROOT = "root"
    DESCENDANT = "descendant"
    SESSION = "session"
    MARKER = "marker"
    CGROUP = "cgroup"
    JOB = "job"


class TreeMember(Model):
    """One process of a tree, and why it is one.

    Args:
        identity: which process.
        name: its short name, as the kernel has it; None where it could not be read.
        ppid: its parent when it was found.
        depth: how far it is below its root; an orphan counts as a child of the root.
        evidence: why it belongs to the tree, sorted.
        spared: why it is not to be touched, or None.
    """

    identity: ProcessIdentity
    name: str | None = None
    ppid: int | None = None
    depth: int = 0
    evidence: tuple[Evidence, ...] = ()
    spared: str | None = None


class TreeSnapshot(Model):
    """A tree as it was found: the dry run of a kill, and itself a target.

    Args:
        target: what was asked for, one identity a target.
        members: who belongs to it, in the order in which they would be asked.
        refusal: why :func:`~proctree_kill.kill_tree` would refuse, or None.
    """

    target: tuple[ProcessIdentity, ...]
    members: tuple[TreeMember, ...]
    refusal: str | None = None

    def render(self, *, ascii_only: bool = False) -> str:
        """Draw the tree as text, parents above their children, a line a process.

        Args:
            ascii_only: whether to draw without the characters that older code pages lack.
        """
        lines = [f"refused: {self.refusal}"] if self.refusal else []
        glyphs = ASCII if ascii_only else LINES
        lines += [f"{indent}{_line(one)}" for indent, one in branches(self.members, glyphs)]
        return "\n".join(lines) or "nobody"


def branches(
    members: Iterable[TreeMember], glyphs: Glyphs = LINES
) -> Iterator[tuple[str, TreeMember]]:
    """Yield everybody, parents above their children, each with the lines that lead to it.

    Whose parent is not a member stands at the margin.
    A chain may be deeper than Python recurses.
    """
    below = _families(sorted(members, key=lambda one: (one.depth, one.identity.pid)))
    waiting = [("", "", one) for one in reversed(below.get(None, []))]
    while waiting:
        indent, joint, one = waiting.pop()
        yield indent + joint, one
        space = {glyphs.child: glyphs.passing, glyphs.last_child: glyphs.nothing}.get(joint, "")
        children = below.pop(one.identity.pid, [])
        joints = [glyphs.child] * (len(children) - 1) + [glyphs.last_child]
        pairs = zip(joints, children, strict=False)
        waiting += [(indent + space, joint, child) for joint, child in pairs][::-1]


def _families(members: list[TreeMember]) -> dict[int | None, list[TreeMember]]:
    """Sort members under their parents, who are less deep, so that nobody is his own ancestor."""
    depth = {one.identity.pid: one.depth for one in members}
    below: dict[int | None, list[TreeMember]] = {}
    for one in members:
        known = one.ppid is not None and depth.get(one.ppid, one.depth) < one.depth
        below.setdefault(one.ppid if known else None, []).append(one)
    return below


def _line(one: TreeMember) -> str:
    """Write a member in one line."""
    reasons = [*one.evidence, *([f"spared: {one.spared}"] if one.spared else [])]
    return f"{one.name or '?'} {one.identity.pid} [{', '.join(reasons)}]"
