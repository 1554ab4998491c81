"""Who is not to be touched: what a caller may pass as ``spare``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ._identity import check_pid, identity_fields, identity_of
from ._member import EVIDENCE, Member
from ._models import ProcessIdentity, TreeMember
from ._target import HasPid

Predicate = Callable[[TreeMember], object]
Spare = Predicate | Iterable[int | ProcessIdentity | HasPid]
Sparing = Callable[[Member], str | None]
"""Says why a member is spared, or None."""


def sparing(spare: Spare | None, boot_id: str | None) -> Sparing:
    """Turn a caller's wish into a question that is put once to each member.

    Raises:
        TypeError: it is neither a predicate nor processes.
        ValueError: a number is no process's.
    """
    if spare is None:
        return lambda _: None
    if callable(spare):
        return lambda member: "by the predicate" if spare(model_of(member, boot_id)) else None
    if isinstance(spare, str | bytes) or not isinstance(spare, Iterable):
        text = f"spare must be pids, identities or a predicate, not {spare!r}"
        raise TypeError(text)
    wanted = {one.pid: one for one in map(_identity, spare)}

    def ask(member: Member) -> str | None:
        one = wanted.get(member.pid)
        if one is None:
            return None
        bare = one == ProcessIdentity(pid=one.pid)
        # a doubt keeps the process alive
        same = bare or one.same_process(identity_of(member, boot_id)) is not False
        return "by the caller" if same else None

    return ask


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
