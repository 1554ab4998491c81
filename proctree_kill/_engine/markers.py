"""The children that we started ourselves: of none of them is it in doubt whose orphan it is.

Without this, each of many trees that are ended at the same time would read the environment
of all the others' roots, again and again.
"""

from __future__ import annotations

import os
import secrets
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

MARKER_PREFIX = "PROCTREE_MARK_"
"""How the names of our markers begin.

The random rest stands in the name too, so that an inner tree keeps the outer tree's marker.
"""
MARKER_PATTERN = rf"{MARKER_PREFIX}[0-9a-f]{{32}}=1"
"""The pattern of our markers: a record with a common variable would end unrelated processes."""


class _Child(Protocol):
    """A ``Popen``: while it has no ``returncode`` its number is its own."""

    pid: int
    returncode: int | None


class _Started(NamedTuple):
    """Who started a child, and which markers of ours it was given."""

    parent: int
    markers: frozenset[bytes]


_children: dict[weakref.ref[Any], _Started] = {}
"""Changed and copied in single steps: a signal handler may look while a child is noted."""


def new() -> str:
    """Return a marker that no other tree has."""
    return f"{MARKER_PREFIX}{secrets.token_hex(16)}=1"


def note_child(child: _Child, env: Mapping[Any, Any]) -> None:
    """Note a child that was just started with this environment."""
    given = (os.fsencode(name) + b"=" + os.fsencode(value) for name, value in env.items())
    markers = frozenset(one for one in given if one.startswith(MARKER_PREFIX.encode()))
    _children[weakref.ref(child, _forget)] = _Started(os.getpid(), markers)


def are_ours(markers: Collection[bytes]) -> bool:
    """Tell whether each of these markers is one that we gave to a child that is noted."""
    given = frozenset[bytes]().union(*(birth.markers for birth in _children.copy().values()))
    return given.issuperset(markers)


def children_with(markers: Collection[bytes]) -> set[int]:
    """Return the numbers of those that are not reaped and were given one of these markers."""
    return {pid for pid, given in _unreaped() if not given.isdisjoint(markers)}


def children_without(markers: Collection[bytes]) -> Iterable[int]:
    """Return the numbers of those that are not reaped and carry none of these markers.

    A marker that is not ours has no such children: anything may carry that.
    """
    if not all(one.startswith(MARKER_PREFIX.encode()) for one in markers):
        return ()
    return {pid for pid, given in _unreaped() if given.isdisjoint(markers)}


def _unreaped() -> Iterator[tuple[int, frozenset[bytes]]]:
    """Yield the children of this process whose numbers are still their own."""
    ourselves = os.getpid()
    for reference, birth in _children.copy().items():
        child = reference()
        if child is not None and child.returncode is None and birth.parent == ourselves:
            yield child.pid, birth.markers


def _forget(reference: weakref.ref[Any]) -> None:
    """Forget a child whose object is gone."""
    _children.pop(reference, None)
