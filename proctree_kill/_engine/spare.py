"""Who is not to be touched: what a caller may pass as ``spare``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .._models.identity import ProcessIdentity, TreeMember
from .._systems.member import EVIDENCE, Member
from .process import check_pid, identity_fields, identity_of
from .target import HasPid

Predicate = Callable[[TreeMember], object]
Spare = Predicate | Iterable[int | ProcessIdentity | HasPid]
Sparing = Callable[[Member], str | None]
"""Says why a member is spared, or None."""


def sparing(spare: Spare | None, boot_id: str | None) -> Sparing | None:
    """Turn a caller's wish into a question that is put once to each member.

    Raises:
        TypeError: it is neither a predicate nor processes.
        ValueError: a number is no process's.
    """
    if spare is None:
        return None
    if callable(spare):
        return lambda member: "by the predicate" if spare(model_of(member, boot_id)) else None
    if isinstance(spare, str | bytes) or not isinstance(spare, Iterable):
        text = f"spare must be pids, identities or a predicate, not {spare!r}"
        raise TypeError(text)
    wanted = [_identity(one) for one in spare]
    return lambda member: "by the caller" if _is_wanted(member, wanted, boot_id) else None


def _is_wanted(member: Member, wanted: Iterable[ProcessIdentity], boot_id: str | None) -> bool:
    """Tell whether a member is one of these; a doubt keeps it alive."""
    same = [one for one in wanted if one.pid == member.pid]
    return any(one.same_process(identity_of(member, boot_id)) is not False for one in same)


def model_of(member: Member, boot_id: str | None) -> TreeMember:
    """Build the public model of a member."""
    return TreeMember.model_validate(member_fields(member, boot_id))


def member_fields(member: Member, boot_id: str | None) -> dict[str, Any]:
    """Return what :class:`~proctree_kill.TreeMember` is made of."""
    return {
        "identity": identity_fields(member, boot_id),
        "name": member.name,
        "ppid": member.ppid,
        "depth": member.depth,
        "evidence": EVIDENCE[member.evidence],
        "spared": member.spared,
    }


def _identity(one: object) -> ProcessIdentity:
    """Read one process that is to be spared."""
    if isinstance(one, ProcessIdentity):
        return one
    return ProcessIdentity(pid=check_pid(getattr(one, "pid", one)))
