"""Reading what a caller names as a target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from ._identity import check_pid
from ._models import ProcessIdentity, TreeMember, TreeSnapshot


class HasPid(Protocol):
    """Anything that names a process by an integer ``pid``."""

    @property
    def pid(self) -> int | None:
        """The number; None while it is not started."""


SingleTarget = int | ProcessIdentity | TreeSnapshot | HasPid
Target = SingleTarget | Sequence[SingleTarget]


class Claim(NamedTuple):
    """One process that a target names.

    Args:
        pid: its number.
        identity: which process the number meant, where the target says it.
        bare: whether the number is the caller's word that nobody else had it since.
        owner: the object that may be asked how the process ended.
        found: the member of a snapshot that this is.
        excluded: whether a snapshot meant only the descendants of this one.
    """

    pid: int
    identity: ProcessIdentity | None = None
    bare: bool = False
    owner: Any = None
    found: TreeMember | None = None
    excluded: bool = False


def claims(target: Target) -> list[Claim]:
    """Return the processes that a target names, each number once.

    Raises:
        TypeError: it is nothing that names a process.
        ValueError: it is not started, or its number is no process's.
    """
    raw = isinstance(target, str | bytes | bytearray | memoryview)
    several = isinstance(target, Sequence) and not raw and not hasattr(target, "pid")
    singles: Iterable[object] = target if isinstance(target, Sequence) and several else [target]
    named: dict[int, Claim] = {}
    for single in singles:
        for one in _claims(single):
            named.setdefault(one.pid, one)
    return list(named.values())


def _claims(target: object) -> Iterable[Claim]:
    """Return what a single target names."""
    if isinstance(target, ProcessIdentity):
        return [Claim(check_pid(target.pid), target)]
    if isinstance(target, TreeSnapshot):
        return _snapshot_claims(target)
    if isinstance(target, int | float | str | bytes):
        return [Claim(check_pid(target), bare=True)]
    if not hasattr(target, "pid"):
        text = f"a target must be a pid or have one, not {type(target).__name__} ({target!r})"
        raise TypeError(text)
    if target.pid is None:
        text = f"{target!r} has no pid: it is not started"
        raise ValueError(text)
    return [Claim(check_pid(target.pid), owner=target)]


def _snapshot_claims(snapshot: TreeSnapshot) -> list[Claim]:
    """Name the members of a snapshot, and a root that was not to be included."""
    members = {one.identity.pid: one for one in snapshot.members}
    roots = [
        Claim(one.pid, one, excluded=True) for one in snapshot.target if one.pid not in members
    ]
    return roots + [Claim(pid, one.identity, found=one) for pid, one in members.items()]
