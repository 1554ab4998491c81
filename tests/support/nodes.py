"""Descriptions of trees: how each process shall behave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One process of a tree, as it shall behave.

    Args:
        name: what its pid is filed under.
        children: whom it forks.
        on_term: what SIGTERM does: the default, nothing, an exit, or a new child and an exit.
        exit_code: what it exits with on SIGTERM, if it exits.
        session: whether it leads a session of its own.
        dies: whether it exits once its children are forked.
        stopped: whether it stops itself once it has spoken.
        reaps: whether it reaps its dead children.
        disowns: whether it lets the kernel reap them, even while it is stopped itself.
        restarts: whether it replaces a child that died.
        main_thread_ends: whether another thread goes on alone.
        forks_every: seconds between the births of more children, or 0.
        at_most: how many children it then has at once.
    """

    name: str
    children: tuple[Node, ...] = ()
    on_term: Literal["die", "ignore", "exit", "fork"] = "die"
    exit_code: int = 0
    session: bool = False
    dies: bool = False
    stopped: bool = False
    reaps: bool = True
    disowns: bool = False
    restarts: bool = False
    main_thread_ends: bool = False
    forks_every: float = 0
    at_most: int = 0

    def names(self) -> Iterator[str]:
        """Yield the names of the whole tree."""
        yield self.name
        for child in self.children:
            yield from child.names()

    def description(self) -> dict[str, Any]:
        """Return what ``node.py`` reads: everything but the defaults."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        said["children"] = [child.description() for child in self.children]
        return {
            field.name: said[field.name]
            for field in fields(self)
            if said[field.name] not in (field.default, [])
        }


def chain(*names: str) -> Node:
    """Describe a tree in which each name is the only child of the one before."""
    first, *rest = names
    return Node(name=first, children=(chain(*rest),) if rest else ())
