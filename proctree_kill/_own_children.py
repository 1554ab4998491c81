"""The children that we started ourselves: of none of them is it in doubt whose orphan it is.

Without this, each of many trees that are ended at the same time would read the environment
of all the others' roots, again and again.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

PREFIX = "PROCTREE_MARK_"
"""How the names of our markers begin."""


class _Child(Protocol):
    """A ``Popen``: while it has no ``returncode`` its number is its own."""

    pid: int
    returncode: int | None


class _Birth(NamedTuple):
    """Who started a child, and which markers of ours it was given."""

    parent: int
    markers: frozenset[bytes]


_changing = threading.Lock()
_children: weakref.WeakKeyDictionary[Any, _Birth] = weakref.WeakKeyDictionary()


def note(child: _Child, env: Mapping[Any, Any]) -> None:
    """Note a child that was just started with this environment."""
    given = (os.fsencode(name) + b"=" + os.fsencode(value) for name, value in env.items())
    markers = frozenset(one for one in given if one.startswith(PREFIX.encode()))
    with _changing:
        _children[child] = _Birth(os.getpid(), markers)


def gave(markers: Collection[bytes]) -> bool:
    """Tell whether each of these markers is one that we gave to a child that is noted."""
    with _changing:
        given = frozenset[bytes]().union(*(birth.markers for birth in _children.values()))
    return given.issuperset(markers)


def without(markers: Collection[bytes]) -> Iterable[int]:
    """Return the numbers of those that are not reaped and carry none of these markers.

    Who looks for a marker that is not ours is told of nobody: anybody may carry that.
    """
    if not all(one.startswith(PREFIX.encode()) for one in markers):
        return ()
    ourselves = os.getpid()
    with _changing:
        return {
            child.pid
            for child, birth in _children.items()
            if child.returncode is None
            and birth.parent == ourselves
            and birth.markers.isdisjoint(markers)
        }
