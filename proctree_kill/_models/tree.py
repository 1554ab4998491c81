"""Trees as values: evidence, members, snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from .base import Model
from .identity import ProcessIdentity
from .shown import Shown
from .text import in_ascii, printable, wrapped


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

    def __str__(self) -> str:
        return f"{named(self)} [{reasons(self)}]"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


class TreeSnapshot(Shown, Model):
    """A tree as it was found: the dry run of a kill. It can be the target of one.

    Args:
        target: the identity of each target.
        members: the processes of the tree, in the order in which they would be asked.
        refusal: why :func:`~proctree_kill.kill_tree` would refuse the target, or None.
    """

    target: tuple[ProcessIdentity, ...]
    members: tuple[TreeMember, ...]
    refusal: str | None = None

    @property
    def ok(self) -> bool:
        """Whether :func:`~proctree_kill.kill_tree` would not refuse it."""
        return self.refusal is None

    def summary(self) -> str:
        """Return the snapshot in one line."""
        if self.refusal is not None:
            return printable(self.refusal)
        spared = sum(member.spared is not None for member in self.members)
        count = len(self.members) - spared
        to_end = f"{count:,} processes" if count > 1 else f"{count or 'no'} process"
        return f"{to_end} to end" + (f", {spared:,} spared" if spared else "")

    def lines(
        self, width: int | None = None, *, ascii_only: bool = False
    ) -> Iterator[tuple[str, str]]:
        """Draw the tree, a line for each process, parents above their children."""
        glyphs = ASCII if ascii_only else LINES
        for branch, member in branches(self.members, glyphs):
            first = branch if width is None else branch[-(width // 2) :]
            further = first.replace(glyphs.child, glyphs.passing).replace(glyphs.last_child, "   ")
            text = in_ascii(str(member)) if ascii_only else str(member)
            lines = wrapped(text, width, first, f"{further}  ").splitlines()
            yield from ((line, "cyan" if member.spared else "") for line in lines)
        yield from super().lines(width, ascii_only=ascii_only)


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


def named(member: TreeMember) -> str:
    """Return the name and the pid of a process."""
    return f"{printable(member.name or '?')} {member.identity.pid}"


def reasons(member: TreeMember) -> str:
    """Return the evidence for a process, and why it is spared."""
    spared = [] if member.spared is None else [f"spared: {printable(member.spared)}"]
    return ", ".join([*member.evidence, *spared])
