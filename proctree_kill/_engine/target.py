"""Reading what a caller passes: targets, markers, and what is to be spared."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from .._models.errors import TargetRefusedError
from .._models.identity import ProcessIdentity
from .._models.tree import TreeMember, TreeSnapshot
from .._systems.contract import Cell
from .._systems.member import Member, is_same, model_of

LARGEST_PID = 2**32 - 1  # Windows' are 32 bits wide; other systems have smaller ones


class HasPid(Protocol):
    """Anything that names a process by an integer ``pid``."""

    @property
    def pid(self) -> int | None:
        """The number; None while it is not started."""


Predicate = Callable[[TreeMember], object]
Spare = Predicate | Iterable[int | ProcessIdentity | HasPid]
Sparing = Callable[[Member], str | None]
"""Returns why a member is spared, or None."""


class Claim(NamedTuple):
    """One process that a target names.

    Args:
        pid: its number.
        identity: which process the number meant, where the target says it.
        bare: whether the number is the caller's word that no other process had it since.
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

    @property
    def known(self) -> ProcessIdentity:
        """The identity; where the target has none, the number alone."""
        return self.identity or ProcessIdentity(pid=self.pid)


class Aim(NamedTuple):
    """What a target comes to.

    Args:
        claims: the processes that it names, each number once.
        markers: ``NAME=VALUE``; processes that carry one of these belong to it.
        everywhere: whether those may be orphans of any process, not only of our own line.
        cells: processes that the kernel keeps in one of these belong to it.
        ended: called once all members are dead, with whether no other can be left.
        refusal: why this process must not touch it.
        bystanders: processes that never belong to it, nor do their ancestors.
        uid: the real uid that each process of it has; None: any.
        since: the start, as :attr:`Member.start`, before which no process carries such a marker.
        spared: which members are not touched; None spares none.
        ownerless: whether no object stands for those of them that are children of this process.
    """

    claims: Sequence[Claim]
    markers: Sequence[bytes] = ()
    everywhere: bool = False
    cells: Sequence[Cell] = ()
    ended: Sequence[Callable[[bool], object]] = ()
    refusal: str | None = None
    bystanders: Sequence[ProcessIdentity] = ()
    uid: int | None = None
    since: int = 0
    spared: Sparing | None = None
    ownerless: bool = False


class Contained(ABC):
    """A tree that was contained from its start, and knows what belongs to it."""

    @abstractmethod
    def aim(self) -> Aim:
        """Return the claims and the markers of this tree."""


SingleTarget = int | ProcessIdentity | TreeSnapshot | Contained | HasPid
Target = SingleTarget | Sequence[SingleTarget]


def aim(target: Target, marker: str | None = None, spare: Spare | None = None) -> Aim:
    """Return what a target comes to, with the other things that a caller passes.

    Raises:
        TypeError: the target names no process, or another argument has the wrong type.
        ValueError: the target is not started, a number is no process's, or the marker is no
            ``NAME=VALUE``.
    """
    raw = isinstance(target, str | bytes | bytearray | memoryview)
    several = isinstance(target, Sequence) and not raw and not hasattr(target, "pid")
    singles: Iterable[object] = target if isinstance(target, Sequence) and several else [target]
    aims = [
        single.aim() if isinstance(single, Contained) else Aim(_claims(single))
        for single in singles
    ]
    claims: dict[int, Claim] = {}
    for claim in (claim for aimed in aims for claim in aimed.claims):
        claims.setdefault(claim.pid, claim)
    markers = dict.fromkeys(marker for aimed in aims for marker in aimed.markers)
    since = min((aimed.since for aimed in aims if aimed.markers), default=0)
    if marker is not None:
        markers[_check_marker(marker)] = None
        since = 0  # the caller's marker is of any age
    return Aim(
        claims=list(claims.values()),
        markers=list(markers),
        everywhere=any(aimed.everywhere for aimed in aims),
        cells=[cell for aimed in aims for cell in aimed.cells],
        ended=[call for aimed in aims for call in aimed.ended],
        refusal=next((aimed.refusal for aimed in aims if aimed.refusal is not None), None),
        bystanders=[identity for aimed in aims for identity in aimed.bystanders],
        uid=next((aimed.uid for aimed in aims if aimed.uid is not None), None),
        since=since,
        spared=sparing(spare),
        ownerless=all(aimed.ownerless for aimed in aims),
    )


def _claims(target: object) -> Sequence[Claim]:
    if isinstance(target, ProcessIdentity):
        return [Claim(check_pid(target.pid), target)]
    if isinstance(target, TreeSnapshot):
        return _snapshot_claims(target)
    if isinstance(target, int | float | str | bytes):
        return [Claim(check_pid(target), bare=True)]
    return [Claim(started_pid(target), owner=target)]


def started_pid(process: object) -> int:
    """Return the number of a process by the object that stands for it.

    Raises:
        TypeError: it is no such object.
        ValueError: it is not started, or its number is no process's.
    """
    if not hasattr(process, "pid"):
        text = f"a target must be a pid or have one, not {type(process).__name__} ({process!r})"
        raise TypeError(text)
    if process.pid is None:
        text = f"{process!r} has no pid: it is not started"
        raise ValueError(text)
    return check_pid(process.pid)


def _snapshot_claims(snapshot: TreeSnapshot) -> list[Claim]:
    members = member_claims(snapshot.members)
    numbers = {claim.pid for claim in members}
    roots = [root for root in snapshot.target if root.pid not in numbers]
    return [*(Claim(root.pid, root, excluded=True) for root in roots), *members]


def member_claims(members: Iterable[TreeMember]) -> list[Claim]:
    """Name members that an earlier scan found."""
    return [Claim(member.identity.pid, member.identity, found=member) for member in members]


def _check_marker(marker: object) -> bytes:
    if not isinstance(marker, str):
        text = f"marker must be a string NAME=VALUE, not {marker!r}"
        raise TypeError(text)
    name, _, value = marker.partition("=")
    if not name or not value or "\0" in marker:
        text = f"marker is {marker!r}, expected NAME=VALUE with both parts"
        raise ValueError(text)
    return os.fsencode(marker)


def check_pid(pid: object) -> int:
    """Return a number that may be a process's.

    Raises:
        TypeError: it is no integer.
        TargetRefusedError: no process has such a number (zero and less mean groups).
    """
    if isinstance(pid, bool) or not isinstance(pid, int):
        text = f"a pid must be an int, not {type(pid).__name__} ({pid!r})"
        raise TypeError(text)
    if not 0 < pid <= LARGEST_PID:
        raise TargetRefusedError(pid, f"the numbers of processes are from 1 to {LARGEST_PID}")
    return pid


def sparing(spare: Spare | None) -> Sparing | None:
    """Return the question that is put once to each member.

    Raises:
        TypeError: it is neither a predicate nor processes.
        ValueError: a number is no process's.
    """
    if spare is None:
        return None
    if callable(spare):
        return lambda member: "by the predicate" if spare(model_of(member)) else None
    if isinstance(spare, str | bytes) or not isinstance(spare, Iterable):
        text = f"spare must be pids, identities or a predicate, not {spare!r}"
        raise TypeError(text)
    wanted = [_identity(process) for process in spare]
    return lambda member: "by the caller" if _is_wanted(member, wanted) else None


def _identity(process: object) -> ProcessIdentity:
    if isinstance(process, ProcessIdentity):
        return process
    return ProcessIdentity(pid=check_pid(getattr(process, "pid", process)))


def _is_wanted(member: Member, wanted: Iterable[ProcessIdentity]) -> bool:
    # Where identities are too weak to compare, the process is spared.
    return any(
        identity.pid == member.pid and is_same(member, identity) is not False for identity in wanted
    )
