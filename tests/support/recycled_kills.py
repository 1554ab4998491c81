"""Kills during which the pid of one member is recycled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from proctree_kill import identify, kill_tree

from .interception import before_each
from .nodes import Node
from .planter import Planter
from .recycling import Stranger, StrangerMaker, calls_of_a_kill, recycle

MARKER = "PLANTED_FOR_RECYCLING=1"
NEVER = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycling:
    """A tree, the member that loses its number, and how the tree is ended.

    Args:
        victim: the member whose number is recycled.
        node: the tree.
        grace: seconds between the request and the force.
        stubborn: whether all members ignore the request.
        leads: whether the root leads a session.
    """

    victim: str
    node: Node
    grace: float
    stubborn: bool = False
    leads: bool = True

    def __str__(self) -> str:
        """Return its name in the names of tests."""
        how = "asked and forced" if self.stubborn else "asked" if self.grace else "forced"
        return f"{self.victim}, {how}"


class Attempt(NamedTuple):
    """The result of one kill with a recycled pid.

    Args:
        calls: the number of system calls before which it could have happened.
        recycled: whether the pid was recycled.
        harm: what was done to the stranger; empty if all is well.
        ok: whether the kill says that no process is left.
        dead: whether no member of the tree is left.
    """

    calls: int
    recycled: bool
    harm: str
    ok: bool
    dead: bool


VICTIMS: dict[str, tuple[Node, bool]] = {
    "root": (Node(name="root"), False),
    "root that leads": (
        Node(name="root that leads", children=(Node(name="child", session=True),)),
        True,
    ),
    "child": (
        Node(name="root", disowns=True, children=(Node(name="child"), Node(name="sibling"))),
        True,
    ),
    "leader": (
        Node(
            name="root",
            disowns=True,
            children=(Node(name="leader", session=True), Node(name="sibling")),
        ),
        True,
    ),
    "orphan": (
        Node(
            name="root", children=(Node(name="middle", dies=True, children=(Node(name="orphan"),)),)
        ),
        True,
    ),
    "daemon": (
        Node(
            name="root",
            children=(
                Node(name="first", session=True, dies=True, children=(Node(name="daemon"),)),
            ),
        ),
        True,
    ),
}
MANNERS = ((0.0, False), (5.0, False), (0.02, True))
RECYCLED = [
    Recycling(victim=victim, node=node, grace=grace, stubborn=stubborn, leads=leads)
    for victim, (node, leads) in VICTIMS.items()
    for grace, stubborn in MANNERS
]


def try_often(recycling: Recycling, tries: int) -> list[Attempt]:
    """Try so often, spread evenly over the system calls of the kill; recycle nothing at first."""
    with StrangerMaker() as maker:
        quiet = try_once(recycling, maker, NEVER)
        steps = [index * quiet.calls // tries for index in range(tries)]
        return [quiet, *(try_once(recycling, maker, at) for at in steps)]


def try_once(recycling: Recycling, maker: StrangerMaker, at: int) -> Attempt:
    """Plant the tree and end it; just before one system call, a number gets a new owner."""
    strangers: list[Stranger] = []
    calls: list[int] = []
    node = made_stubborn(recycling.node) if recycling.stubborn else recycling.node
    with Planter(in_cgroups=False) as plant:
        tree = plant(node, marker=MARKER, start_new_session=recycling.leads)
        root, victim = identify(tree.root.pid), tree.pids[recycling.victim]

        def strike(index: int) -> None:
            calls.append(index)
            if index == at:
                strangers.append(recycle(victim, maker))

        try:
            with before_each(calls_of_a_kill(), strike):
                result = kill_tree(root, grace=recycling.grace, marker=MARKER)
            harm = "".join(stranger.harm() for stranger in strangers)
            return Attempt(len(calls), bool(strangers), harm, result.ok, tree.all_dead())
        finally:
            for stranger in strangers:
                stranger.end()


def made_stubborn(node: Node) -> Node:
    """Describe the same tree, in which all members ignore the request."""
    return replace(node, on_term="ignore", children=tuple(map(made_stubborn, node.children)))
