"""Reading what a caller passes for a target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .._models.identity import ProcessIdentity
from .._models.tree import TreeMember, TreeSnapshot
from .._models.usage import Usage
from .._systems.contract import Cell, CpuSeconds
from .markers import check_marker
from .pids import HasPid, check_pid, started_pid
from .spare import CheckedSpare, Spare, Sparing, sparing


class Claim(NamedTuple):
    """One process that a target names.

    Args:
        pid: its number.
        identity: which process the number meant, where the target says it.
        bare: whether the number is the caller's word that no other process had it since.
        owner: the object that may be asked how the process ended.
        found: the member of a snapshot that this is.
        excluded: whether a snapshot meant only the descendants of this one.
        command: whether a contained tree began with it: no name and no marker spares it.
    """

    pid: int
    identity: ProcessIdentity | None = None
    bare: bool = False
    owner: Any = None
    found: TreeMember | None = None
    excluded: bool = False
    command: bool = False

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
        unshared: markers of those that the caller must not carry itself.
        ownerless: whether no object stands for those of them that are children of this process.
        spent: what roots used that are reaped by now, by their numbers.
        note_usage: takes what a kill found that the tree used, and returns all that is known.
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
    unshared: Collection[bytes] = ()
    ownerless: bool = False
    spent: Mapping[int, CpuSeconds] = {}
    note_usage: Callable[[Usage | None], Usage | None] | None = None


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
        markers[check_marker(marker)] = None
        since = 0  # the caller's marker is of any age
    spared = sparing(spare)
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
        spared=spared or next((aimed.spared for aimed in aims if aimed.spared is not None), None),
        unshared=() if spared is None or isinstance(spare, CheckedSpare) else spared.markers,
        ownerless=all(aimed.ownerless for aimed in aims),
        spent={pid: cpu for aimed in aims for pid, cpu in aimed.spent.items()},
        note_usage=aims[0].note_usage if len(aims) == 1 else None,
    )


def _claims(target: object) -> Sequence[Claim]:
    if isinstance(target, ProcessIdentity):
        return [Claim(check_pid(target.pid), target)]
    if isinstance(target, TreeSnapshot):
        return _snapshot_claims(target)
    if isinstance(target, int | float | str | bytes):
        return [Claim(check_pid(target), bare=True)]
    return [Claim(started_pid(target), owner=target)]


def _snapshot_claims(snapshot: TreeSnapshot) -> list[Claim]:
    members = member_claims(snapshot.members)
    numbers = {claim.pid for claim in members}
    roots = [root for root in snapshot.target if root.pid not in numbers]
    return [*(Claim(root.pid, root, excluded=True) for root in roots), *members]


def member_claims(members: Iterable[TreeMember]) -> list[Claim]:
    """Name members that an earlier scan found."""
    return [Claim(member.identity.pid, member.identity, found=member) for member in members]
