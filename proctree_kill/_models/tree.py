"""Trees as values: evidence, members, snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Any

from pydantic import PrivateAttr

from .base import Model
from .identity import ProcessIdentity
from .shown import Shown
from .text import FEW, TIMES, in_ascii, printable, wrapped

_CHILD, _LAST_CHILD = "├─ ", "└─ "
_BELOW = {"": "", _CHILD: "│  ", _LAST_CHILD: "   "}  # what stands below each of these


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


class SpareCandidate(TreeMember, defer_build=True):  # few kills need it
    """A member as a predicate that was passed as ``spare`` sees it."""

    _read: Any = PrivateAttr(default=None)  # a function of the identity

    def model_post_init(self, context: object) -> None:
        """Take what reads the arguments."""
        self._read = context

    def command_line(self) -> tuple[str, ...] | None:
        """Read the arguments of the process now.

        They may hold secrets, and are stored nowhere.

        Returns:
            The program as it was called, and its arguments; None where the process is gone, hides
            them, or is just becoming another program.
        """
        found: tuple[str, ...] | None = self._read and self._read(self.identity)
        return found


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
        self, width: int | None = None, *, ascii_only: bool = False, fold: bool = True
    ) -> Iterator[tuple[str, str]]:
        """Draw the tree, parents above their children; many alike siblings share a line."""
        for branch, alike in branches(self.members, fold=fold):
            first = branch if width is None else branch[-(width // 2) :]
            further = f"{first[:-3]}{_BELOW.get(first[-3:], '')}  "
            texts = (f"{named(*alike)} [{reasons(alike[0])}]", first, further)
            text, first, further = map(in_ascii, texts) if ascii_only else texts
            lines = wrapped(text, width, first, further).splitlines()
            yield from ((line, "cyan" if alike[0].spared else "") for line in lines)
        yield from super().lines(width, ascii_only=ascii_only)


def branches(
    members: Sequence[TreeMember],
    *,
    fold: bool = True,
    shown: Callable[[TreeMember], object] = lambda _: None,
) -> Iterator[tuple[str, list[TreeMember]]]:
    """Yield members with the lines that lead to them, parents above their children.

    A member without a parent in the tree stands at the margin.

    Args:
        members: of the tree.
        fold: whether many alike siblings without children come together; else each is alone.
        shown: returns what else of a member must be alike.
    """
    parents = {member.ppid for member in members}

    def key(branch: tuple[str, TreeMember]) -> object:
        member = branch[1]
        if member.identity.pid in parents:
            return member.identity.pid
        facts = (member.ppid, member.depth, member.name, member.evidence, member.spared)
        return (*facts, shown(member))

    for _, group in groupby(_branches(members), key):
        alike = list(group)
        if fold and len(alike) > FEW:
            yield alike[-1][0], [member for _, member in alike]
        else:
            yield from ((lines, [member]) for lines, member in alike)


def _branches(members: Iterable[TreeMember]) -> Iterator[tuple[str, TreeMember]]:
    # no recursion: a chain of processes may be deeper than Python's limit
    below = _families(sorted(members, key=lambda member: (member.depth, member.identity.pid)))
    waiting = [("", "", member) for member in reversed(below.get(None, []))]
    while waiting:
        indent, joint, member = waiting.pop()
        yield indent + joint, member
        space = indent + _BELOW[joint]
        children = below.pop(member.identity.pid, [])
        joints = [_CHILD] * (len(children) - 1) + [_LAST_CHILD]
        pairs = zip(joints, children, strict=False)
        waiting += [(space, joint, child) for joint, child in pairs][::-1]


def _families(members: list[TreeMember]) -> dict[int | None, list[TreeMember]]:
    depth = {member.identity.pid: member.depth for member in members}
    below: dict[int | None, list[TreeMember]] = {}
    for member in members:
        # a parent must be less deep, so that no process becomes its own ancestor
        known = depth.get(member.ppid or 0, member.depth) < member.depth
        below.setdefault(member.ppid if known else None, []).append(member)
    return below


def named(member: TreeMember, *others: TreeMember) -> str:
    """Return the name of a process and its pid, or how many alike ones there are."""
    number = f"{TIMES}{1 + len(others):,}" if others else member.identity.pid
    return f"{printable(member.name or '?')} {number}"


def reasons(member: TreeMember) -> str:
    """Return the evidence for a process, and why it is spared."""
    spared = [] if member.spared is None else [f"spared: {printable(member.spared)}"]
    return ", ".join([*member.evidence, *spared])
