"""The engine's own process: slotted, changing, cheap. Pure.

Models are built from it once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._models.identity import ProcessIdentity
from .._models.tree import Evidence, TreeMember

_BITS = {one: 1 << index for index, one in enumerate(Evidence)}
ROOT = _BITS[Evidence.ROOT]
DESCENDANT = _BITS[Evidence.DESCENDANT]
SESSION = _BITS[Evidence.SESSION]
MARKER = _BITS[Evidence.MARKER]
KEPT = {"cgroup": _BITS[Evidence.CGROUP], "job": _BITS[Evidence.JOB]}
"""The evidence of what the kernel keeps together, by its kind."""
ANY_KEPT = sum(KEPT.values())
EVIDENCE = {
    mask: tuple(sorted(one for one, bit in _BITS.items() if bit & mask))
    for mask in range(1 << len(_BITS))
}
"""Every mask of evidence as the sorted tuple that a model wants."""


def mask(evidence: Iterable[Evidence]) -> int:
    """Return evidence as a mask."""
    return sum(_BITS[one] for one in set(evidence))


ALIVE, ZOMBIE, GONE = "alive", "zombie", "gone"
"""A zombie is dead and still owns its number; of the number of the gone nothing is known."""


class Member:
    """One process that was found, and what is known of it.

    The system fills in the facts and owns ``handle``, the tree says why it belongs
    and whether it is known to be ``adopted`` where it is a child of ours,
    the plan decides over it, and the system notes in ``signals`` what was sent
    and in ``note`` what else there is to say.
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
        """Begin with a number of which nothing else is known."""
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
    """Order members so that children come before their parents and roots last."""
    return sorted(members, key=lambda one: -one.depth)


def is_same(member: Member, identity: ProcessIdentity) -> bool | None:
    """Whether a member is the identified process; None where that cannot be known."""
    return identity.same_process(identity_of(member))


def identity_of(member: Member) -> ProcessIdentity:
    """Build the model of a member's identity."""
    return ProcessIdentity.model_validate(identity_fields(member))


def identity_fields(member: Member) -> dict[str, int | float | str | None]:
    """Return what :class:`~proctree_kill.ProcessIdentity` is made of; a boot to start or inode."""
    return {
        "pid": member.pid,
        "boot_id": member.boot_id if (member.start, member.inode) != (None, None) else None,
        "start": member.start,
        "inode": member.inode,
        "create_time": member.create_time,
    }


def model_of(member: Member) -> TreeMember:
    """Build the public model of a member."""
    return TreeMember.model_validate(member_fields(member))


def member_fields(member: Member) -> dict[str, Any]:
    """Return what :class:`~proctree_kill.TreeMember` is made of."""
    return {
        "identity": identity_fields(member),
        "name": member.name,
        "ppid": member.ppid,
        "depth": member.depth,
        "evidence": EVIDENCE[member.evidence],
        "spared": member.spared,
    }
