"""A process as the engine sees it: slotted, mutable, cheap. Pure.

Public models are built from it once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from .._models.identity import ProcessIdentity
from .._models.tree import Evidence, TreeMember

_BITS = {kind: 1 << index for index, kind in enumerate(Evidence)}
ROOT = _BITS[Evidence.ROOT]
DESCENDANT = _BITS[Evidence.DESCENDANT]
SESSION = _BITS[Evidence.SESSION]
GROUP = _BITS[Evidence.GROUP]
MARKER = _BITS[Evidence.MARKER]
KEPT = {"cgroup": _BITS[Evidence.CGROUP], "job": _BITS[Evidence.JOB]}
"""The evidence of a cell's members, by its kind."""
ANY_KEPT = sum(KEPT.values())
EVIDENCE = {
    mask: tuple(sorted(kind for kind, bit in _BITS.items() if bit & mask))
    for mask in range(1 << len(_BITS))
}
"""Every mask of evidence as the sorted tuple that a model wants."""


def mask(evidence: Iterable[Evidence]) -> int:
    """Return evidence as a mask."""
    return sum(_BITS[kind] for kind in set(evidence))


ALIVE, ZOMBIE, GONE = "alive", "zombie", "gone"
"""A zombie is dead and still owns its number; a number of a gone process may be free or reused."""
DIES, HANDLES, IGNORES = "dies", "handles", "ignores"
"""How a process responds to a signal. One that blocks it handles it, by sigwait(3) or later."""


@dataclass(slots=True, eq=False, repr=False)
class Member:
    """A process that was found, and what is known of it.

    The system fills in the facts, owns ``handle``, and notes in ``signals`` what was sent and in
    ``note`` what else there is to say. The tree fills in ``evidence``, ``depth``, ``spared``,
    ``exposed``, and ``adopted``: whether a child of this process is known to be adopted.
    """

    pid: int
    ppid: int | None = None
    sid: int | None = None
    pgid: int | None = None  # its process group
    boot_id: str | None = None
    start: int | None = None  # in the unit of System.start_clock
    inode: int | None = None  # of its pidfd, since Linux 6.9
    create_time: float | None = None  # seconds since the epoch
    name: str | None = None
    identity: ProcessIdentity | None = None  # of the facts above
    state: str = ALIVE
    threads: int = 1
    kernel: bool = False  # whether it is a kernel thread
    stopped: bool = False  # whether job control had stopped it when it was found
    adopted: bool = False
    handle: int | None = None  # a pidfd, or a handle of Windows
    depth: int = 0
    evidence: int = 0  # a mask
    spared: str | None = None  # why it is spared
    note: str | None = None
    exposed: bool = False  # whether nothing shows what it started once it is dead
    signals: list[str] = field(default_factory=list)
    unreachable: bool = False  # whether no polite request reaches it
    is_tracker: bool | None = None  # whether it is a resource tracker, if its arguments were read
    response: str | None = None  # to the signal of the present request, if it was read
    exit_code: int | None = None
    used: Sequence[Any] | None = None  # what it told of its use when found, as the system reads it

    def __repr__(self) -> str:
        return f"<Member {self.name or '?'} {self.pid}>"


def leaves_first(members: Iterable[Member]) -> list[Member]:
    """Return members with children before their parents, roots last."""
    return sorted(members, key=attrgetter("depth"), reverse=True)


def is_same(member: Member, identity: ProcessIdentity) -> bool | None:
    """Whether a member is the identified process; None where that cannot be known."""
    return identity.same_process(identity_of(member))


def identity_of(member: Member) -> ProcessIdentity:
    """Return the identity of a member; it is made once."""
    if member.identity is None:
        member.identity = ProcessIdentity(**identity_fields(member))
    return member.identity


def identity_fields(member: Member) -> dict[str, Any]:
    """Return the fields of a ``ProcessIdentity``; the boot only beside a start or an inode."""
    return {
        "pid": member.pid,
        "boot_id": member.boot_id if (member.start, member.inode) != (None, None) else None,
        "start": member.start,
        "inode": member.inode,
        "create_time": member.create_time,
    }


def model_of(member: Member) -> TreeMember:
    """Return the public model of a member."""
    return TreeMember.model_validate(member_fields(member))


def member_fields(member: Member) -> dict[str, Any]:
    """Return the fields of a ``TreeMember``."""
    return {
        "identity": member.identity or identity_fields(member),
        "name": member.name,
        "ppid": member.ppid,
        "depth": member.depth,
        "evidence": EVIDENCE[member.evidence],
        "spared": member.spared,
    }
