"""Reading what a caller names as a target."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from .._models.errors import TargetRefusedError
from .._models.identity import ProcessIdentity
from .._models.tree import TreeMember, TreeSnapshot
from .._systems.contract import Cell
from .._systems.member import Member, identity_of, model_of


class HasPid(Protocol):
    """Anything that names a process by an integer ``pid``."""

    @property
    def pid(self) -> int | None:
        """The number; None while it is not started."""


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


class Aim(NamedTuple):
    """What a target comes to.

    Args:
        claims: the processes that it names, each number once.
        markers: ``NAME=VALUE``; whoever carries one of these belongs to it as well.
        everywhere: whether those may be anybody's orphans, not only those of our own line.
        cells: whoever the kernel keeps in one of these belongs to it as well.
        ended: what is called once everybody is dead, and told whether nobody can be left.
        refusal: why it must not be touched here.
        bystanders: processes that never belong to it, nor do their ancestors.
        uid: the real uid that each process of it has; None: any.
        since: the start, as :attr:`Member.start`, before which no process carries such a marker.
    """

    claims: Sequence[Claim]
    markers: Sequence[str] = ()
    everywhere: bool = False
    cells: Sequence[Cell] = ()
    ended: Sequence[Callable[[bool], object]] = ()
    refusal: str | None = None
    bystanders: Sequence[ProcessIdentity] = ()
    uid: int | None = None
    since: int = 0


class Contained(ABC):
    """A tree that was contained from its birth, and says itself what it comes to."""

    @abstractmethod
    def aim(self) -> Aim:
        """Return the claims and the markers of this tree."""


SingleTarget = int | ProcessIdentity | TreeSnapshot | Contained | HasPid
Target = SingleTarget | Sequence[SingleTarget]


def aim(target: Target) -> Aim:
    """Return what a target comes to.

    Raises:
        TypeError: it is nothing that names a process.
        ValueError: it is not started, or its number is no process's.
    """
    raw = isinstance(target, str | bytes | bytearray | memoryview)
    several = isinstance(target, Sequence) and not raw and not hasattr(target, "pid")
    singles: Iterable[object] = target if isinstance(target, Sequence) and several else [target]
    aims = [one.aim() if isinstance(one, Contained) else Aim(_claims(one)) for one in singles]
    named: dict[int, Claim] = {}
    for claim in (claim for one in aims for claim in one.claims):
        named.setdefault(claim.pid, claim)
    markers = dict.fromkeys(marker for one in aims for marker in one.markers)
    cells = [cell for one in aims for cell in one.cells]
    ended = [call for one in aims for call in one.ended]
    return Aim(
        list(named.values()),
        list(markers),
        any(one.everywhere for one in aims),
        cells,
        ended,
        next((one.refusal for one in aims if one.refusal is not None), None),
        [identity for one in aims for identity in one.bystanders],
        next((one.uid for one in aims if one.uid is not None), None),
        min((one.since for one in aims if one.markers), default=0),
    )


def _claims(target: object) -> Sequence[Claim]:
    """Return what a single target names."""
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
    """Name the members of a snapshot, and a root that was not to be included."""
    numbers = {one.identity.pid for one in snapshot.members}
    roots = [
        Claim(one.pid, one, excluded=True) for one in snapshot.target if one.pid not in numbers
    ]
    return [*roots, *member_claims(snapshot.members)]


def member_claims(members: Iterable[TreeMember]) -> list[Claim]:
    """Name members that were found by an earlier look."""
    return [Claim(one.identity.pid, one.identity, found=one) for one in members]


def read_markers(known: Iterable[str], marker: str | None) -> list[bytes]:
    """Return the markers that a target knows and the one that was given, checked, as bytes.

    Raises:
        TypeError: it is no string.
        ValueError: it is no ``NAME=VALUE``.
    """
    if marker is None:
        return [os.fsencode(one) for one in known]
    if not isinstance(marker, str):
        text = f"marker must be a string NAME=VALUE, not {marker!r}"
        raise TypeError(text)
    name, _, value = marker.partition("=")
    if not name or not value or "\0" in marker:
        text = f"marker is {marker!r}, expected NAME=VALUE with both parts"
        raise ValueError(text)
    return [os.fsencode(one) for one in (*known, marker)]


LARGEST = 2**32 - 1
"""Windows' process ids are 32 bits wide; other systems have smaller ones."""


def check_pid(pid: object) -> int:
    """Return a number that may be a process's.

    Raises:
        TypeError: it is no integer.
        TargetRefusedError: no process has such a number (zero and less mean groups).
    """
    if isinstance(pid, bool) or not isinstance(pid, int):
        text = f"a pid must be an int, not {type(pid).__name__} ({pid!r})"
        raise TypeError(text)
    if not 0 < pid <= LARGEST:
        raise TargetRefusedError(pid, f"the numbers of processes are from 1 to {LARGEST}")
    return pid


Predicate = Callable[[TreeMember], object]


Spare = Predicate | Iterable[int | ProcessIdentity | HasPid]


Sparing = Callable[[Member], str | None]
"""Says why a member is spared, or None."""


def sparing(spare: Spare | None) -> Sparing | None:
    """Turn a caller's wish into a question that is put once to each member.

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
    wanted = [_identity(one) for one in spare]
    return lambda member: "by the caller" if _is_wanted(member, wanted) else None


def _is_wanted(member: Member, wanted: Iterable[ProcessIdentity]) -> bool:
    """Tell whether a member is one of these; a doubt keeps it alive."""
    same = [one for one in wanted if one.pid == member.pid]
    return any(one.same_process(identity_of(member)) is not False for one in same)


def _identity(one: object) -> ProcessIdentity:
    """Read one process that is to be spared."""
    if isinstance(one, ProcessIdentity):
        return one
    return ProcessIdentity(pid=check_pid(getattr(one, "pid", one)))
