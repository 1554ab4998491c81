"""Markers: their format, and which children of this process were given which.

The children are known, so they are not searched for as orphans of another tree. Many trees that
end at the same time would else read the environments of each other's roots, again and again.
"""

from __future__ import annotations

import os
import secrets
import weakref
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

MARKER_PREFIX = "PROCTREE_MARK_"
"""How a marker's name begins; its random rest follows, so an inner tree keeps the outer marker."""
MARKER_PATTERN = rf"{MARKER_PREFIX}[0-9a-f]{{32}}=1"
"""The pattern of our markers: a record with a common variable would end unrelated processes."""

# A process hides its environment while it calls exec, and in most uninterruptible sleeps.
HIDDEN_TIME = 0.25  # seconds for which hidden environments are read again
HIDDEN_PAUSE = 0.005  # seconds between two reads


class _Child(Protocol):
    """A ``Popen``: its pid is its own until it has a ``returncode``."""

    pid: int
    returncode: int | None


class _Started(NamedTuple):
    parent: int
    markers: frozenset[bytes]


# Changed and copied in single steps: a signal handler may read it while a child is noted.
_children: dict[weakref.ref[Any], _Started] = {}


def new() -> str:
    """Return a marker that no other tree has."""
    return f"{MARKER_PREFIX}{secrets.token_hex(16)}=1"


def check_marker(marker: object) -> bytes:
    """Return the marker that a caller passes.

    Raises:
        TypeError: it is no string.
        ValueError: it is no ``NAME=VALUE``.
    """
    if not isinstance(marker, str):
        text = f"marker must be a string NAME=VALUE, not {marker!r}"
        raise TypeError(text)
    name, _, value = marker.partition("=")
    if not name or not value or "\0" in marker:
        text = f"marker is {marker!r}, expected NAME=VALUE with both parts"
        raise ValueError(text)
    return os.fsencode(marker)


def note_child(child: _Child, env: Mapping[Any, Any]) -> None:
    """Note a child that was just started with this environment."""
    variables = (os.fsencode(name) + b"=" + os.fsencode(value) for name, value in env.items())
    markers = frozenset(filter(_is_ours, variables))
    reference = weakref.ref(child, lambda dead: _children.pop(dead, None))
    _children[reference] = _Started(os.getpid(), markers)


def are_ours(markers: Collection[bytes]) -> bool:
    """Whether each of these markers was given to a child that is noted."""
    given = frozenset[bytes]().union(*(child.markers for child in _children.copy().values()))
    return given.issuperset(markers)


def children_with(markers: Collection[bytes]) -> set[int]:
    """Return the pids of unreaped children that were given one of these markers."""
    return {pid for pid, given in _unreaped() if not given.isdisjoint(markers)}


def children_without(markers: Collection[bytes]) -> Collection[int]:
    """Return the pids of unreaped children that carry none of these markers.

    If one of the markers is not ours there are none: any child may carry that.
    """
    if not all(map(_is_ours, markers)):
        return ()
    return {pid for pid, given in _unreaped() if given.isdisjoint(markers)}


def _is_ours(variable: bytes) -> bool:
    return variable.startswith(MARKER_PREFIX.encode())


def _unreaped() -> Iterator[tuple[int, frozenset[bytes]]]:
    caller = os.getpid()  # after a fork the table also holds the parent's children
    for reference, started in _children.copy().items():
        child = reference()
        if child is not None and child.returncode is None and started.parent == caller:
            yield child.pid, started.markers
