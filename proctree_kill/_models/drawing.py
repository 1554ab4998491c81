"""The lines that lead from parents to children. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .identity import TreeMember


class Glyphs(NamedTuple):
    """What the lines are made of."""

    child: str
    last_child: str
    passing: str
    nothing: str


LINES = Glyphs("├─ ", "└─ ", "│  ", "   ")
ASCII = Glyphs("|- ", "`- ", "|  ", "   ")


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
