"""Trees as values: evidence, members, snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from .base import Model
from .identity import ProcessIdentity


class Glyphs(NamedTuple):
    """The characters that connect a process to its parent in a drawing."""

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
    GROUP = "group"
    MARKER = "marker"
    CGROUP = "cgroup"
    JOB = "job"


class TreeMember(Model):
    """One process of a tree, and the evidence for it.

    Args:
        identity: the identity of the process.
        name: its short name in the kernel; None if it could not be read.
        ppid: the pid of its parent when it was found.
        depth: its distance from the root; an orphan counts as a child of the root.
        evidence: why it belongs to the tree, sorted.
        spared: why it is excluded from the kill, or None.
    """

    identity: ProcessIdentity
    name: str | None = None
    ppid: int | None = None
    depth: int = 0
    evidence: tuple[Evidence, ...] = ()
    spared: str | None = None


class TreeSnapshot(Model):
    """A tree as it was found: the dry run of a kill. It can be the target of one.

    Args:
        target: the identity of each target.
        members: the processes of the tree, in the order in which they would be asked.
        refusal: why :func:`~proctree_kill.kill_tree` would refuse the target, or None.
    """

    target: tuple[ProcessIdentity, ...]
    members: tuple[TreeMember, ...]
    refusal: str | None = None

    def render(self, *, ascii_only: bool = False) -> str:
        """Draw the tree as text, a line for each process, parents above their children.

        Args:
            ascii_only: whether to use ASCII lines, for old code pages (default False).
        """
        lines = [f"refused: {self.refusal}"] if self.refusal else []
        glyphs = ASCII if ascii_only else LINES
        lines += [f"{indent}{_line(member)}" for indent, member in branches(self.members, glyphs)]
        return "\n".join(lines) or "no process"


def branches(
    members: Iterable[TreeMember], glyphs: Glyphs = LINES
) -> Iterator[tuple[str, TreeMember]]:
    """Yield each member with the lines that lead to it, parents above their children.

    A member without a parent in the tree stands at the margin.
    """
    # no recursion: a chain of processes may be deeper than Python's limit
    below = _families(sorted(members, key=lambda member: (member.depth, member.identity.pid)))
    waiting = [("", "", member) for member in reversed(below.get(None, []))]
    while waiting:
        indent, joint, member = waiting.pop()
        yield indent + joint, member
        space = {glyphs.child: glyphs.passing, glyphs.last_child: glyphs.nothing}.get(joint, "")
        children = below.pop(member.identity.pid, [])
        joints = [glyphs.child] * (len(children) - 1) + [glyphs.last_child]
        pairs = zip(joints, children, strict=False)
        waiting += [(indent + space, joint, child) for joint, child in pairs][::-1]


def _families(members: list[TreeMember]) -> dict[int | None, list[TreeMember]]:
    depth = {member.identity.pid: member.depth for member in members}
    below: dict[int | None, list[TreeMember]] = {}
    for member in members:
        # a parent must be less deep, so that no process becomes its own ancestor
        known = depth.get(member.ppid or 0, member.depth) < member.depth
        below.setdefault(member.ppid if known else None, []).append(member)
    return below


def _line(member: TreeMember) -> str:
    reasons = [*member.evidence, *([f"spared: {member.spared}"] if member.spared else [])]
    return f"{member.name or '?'} {member.identity.pid} [{', '.join(reasons)}]"
