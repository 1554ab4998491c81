"""Descriptions of trees: how each process shall behave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One process of a tree, as it shall behave.

    A node on a socket knows the first six and ``flags`` only; a node on a pipe has no ``flags``.

    Args:
        name: names its pid.
        children: the nodes that it starts.
        on_term: what SIGTERM or CTRL_BREAK does: the default, nothing, an exit, or a new child and
            an exit (pipe only).
        exit_code: what it exits with on the request, if it exits.
        dies: whether it exits by itself: on a pipe once its children have started, on a socket once
            all nodes have.
        restarts: whether it replaces a child that died.
        session: whether it leads a session of its own.
        stopped: whether it stops itself once it has started.
        reaps: whether it reaps its dead children.
        disowns: whether it lets the kernel reap them, even while it is stopped itself.
        main_thread_ends: whether another thread goes on alone.
        forks_every: seconds between the starts of more children, or 0.
        at_most: how many children it then has at once.
        flags: the creation flags that its parent gives it, on Windows.
    """

    name: str
    children: tuple[Node, ...] = ()
    on_term: Literal["die", "ignore", "exit", "fork"] = "die"
    exit_code: int = 0
    dies: bool = False
    restarts: bool = False
    session: bool = False
    stopped: bool = False
    reaps: bool = True
    disowns: bool = False
    main_thread_ends: bool = False
    forks_every: float = 0
    at_most: int = 0
    flags: int = 0

    def walk(self) -> Iterator[Node]:
        """Yield the nodes of the whole tree."""
        yield self
        for child in self.children:
            yield from child.walk()

    def names(self) -> set[str]:
        """Return the names of the whole tree."""
        return {node.name for node in self.walk()}

    def description(self) -> dict[str, Any]:
        """Return what the process reads: all but the defaults."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["children"] = [child.description() for child in self.children]
        return {
            field.name: values[field.name]
            for field in fields(self)
            if values[field.name] not in (field.default, [])
        }


def chain(*names: str) -> Node:
    """Describe a tree in which each name is the only child of the one before."""
    first, *rest = names
    return Node(name=first, children=(chain(*rest),) if rest else ())
