"""What is to be spared, as a caller passes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .._models.identity import ProcessIdentity
from .._models.tree import SpareCandidate
from .._systems.member import Member, is_same, member_fields
from .pids import HasPid, check_pid
from .process import command_line

Predicate = Callable[[SpareCandidate], object]
Spare = Predicate | Iterable[int | ProcessIdentity | HasPid]
Sparing = Callable[[Member], str | None]
"""Returns why a member is spared, or None."""


def sparing(spare: Spare | None) -> Sparing | None:
    """Return the question that is put once to each member.

    Raises:
        TypeError: it is neither a predicate nor processes.
        ValueError: a number is no process's.
    """
    if spare is None:
        return None
    if callable(spare):
        return lambda member: "by the predicate" if spare(candidate(member)) else None
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


def candidate(member: Member) -> SpareCandidate:
    """Return a member as a predicate sees it."""
    return SpareCandidate.model_validate(member_fields(member), context=command_line)
