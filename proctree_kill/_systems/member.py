"""A process as the engine sees it: slotted, mutable, cheap. Pure.

Public models are built from it once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._models.identity import ProcessIdentity
from .._models.tree import Evidence, TreeMember

_BITS = {kind: 1 << index for index, kind in enumerate(Evidence)}
ROOT = _BITS[Evidence.ROOT]
DESCENDANT = _BITS[Evidence.DESCENDANT]
SESSION = _BITS[Evidence.SESSION]
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


class Member:
    """A process that was found, and what is known of it.

    The system fills in the facts, owns ``handle``, and notes in ``signals`` what was sent and in
    ``note`` what else there is to say. The tree fills in ``evidence``, ``depth``, ``spared``, and
    ``adopted``: whether a child of this process is known to be adopted.
    """

    __slots__ = (
        "adopted",
        "boot_id",
        "create_time",
        "depth",
        "evidence",
        "exit_code",
        "handle",
        "inode",
        "kernel",
        "name",
        "note",
        "pid",
        "ppid",
        "sid",
        "signals",
        "spared",
        "start",
        "state",
        "stopped",
        "threads",
        "unreachable",
    )

    def __init__(self, pid: int, ppid: int | None = None) -> None:
        """Begin with a number; all else is unknown."""
        self.pid = pid
        self.ppid = ppid
        self.sid: int | None = None
        self.boot_id: str | None = None
        self.start: int | None = None
        self.inode: int | None = None
        self.create_time: float | None = None
        self.name: str | None = None
        self.state = ALIVE
        self.threads = 1
        self.kernel = False
        self.stopped = False
        self.adopted = False
        self.handle: int | None = None
        self.depth = 0
        self.evidence = 0
        self.spared: str | None = None
        self.note: str | None = None
        self.signals: list[str] = []
        self.unreachable = False
        self.exit_code: int | None = None

    def __repr__(self) -> str:
        return f"<Member {self.name or '?'} {self.pid}>"


def leaves_first(members: Iterable[Member]) -> list[Member]:
    """Return members with children before their parents, roots last."""
    return sorted(members, key=lambda member: -member.depth)


def is_same(member: Member, identity: ProcessIdentity) -> bool | None:
    """Whether a member is the identified process; None where that cannot be known."""
    return identity.same_process(identity_of(member))


def identity_of(member: Member) -> ProcessIdentity:
    """Return the identity of a member."""
    return ProcessIdentity.model_validate(identity_fields(member))


def identity_fields(member: Member) -> dict[str, int | float | str | None]:
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
        "identity": identity_fields(member),
        "name": member.name,
        "ppid": member.ppid,
        "depth": member.depth,
        "evidence": EVIDENCE[member.evidence],
        "spared": member.spared,
    }
