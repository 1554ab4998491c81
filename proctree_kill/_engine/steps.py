"""The steps that a plan yields, and the facts that it receives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from .._models.result import Fate
from .._systems.member import Member


class CloseInput(NamedTuple):
    """Close the standard input of the roots where we hold it."""


class Ask(NamedTuple):
    """Ask these to leave, in this order; what helps with that has until this time."""

    members: list[Member]
    until: float


class Wait(NamedTuple):
    """Wait until one of these is gone, or until this time."""

    members: list[Member]
    until: float


class Rescan(NamedTuple):
    """Look for members that are not known yet.

    A light one may be left out where nobody was born since the last;
    it can miss a fork that was under way then, which is counted before it can be seen.
    """

    light: bool = False


class Freeze(NamedTuple):
    """Stop these, so that they cannot fork."""

    members: list[Member]


class ProveStop(NamedTuple):
    """See each of these stopped, which has until this time: SIGSTOP ends no fork under way."""

    members: list[Member]
    until: float


class Kill(NamedTuple):
    """End these by force, in this order."""

    members: list[Member]


class KillCells(NamedTuple):
    """End by force, at once, everybody whom the kernel keeps together; these are known of them."""

    members: list[Member]


class Insist(NamedTuple):
    """End these by the system's other way, which has until this time: the force left them."""

    members: list[Member]
    until: float


class Inspect(NamedTuple):
    """Read how these dead ended."""

    members: list[Member]


Step = CloseInput | Ask | Wait | Rescan | Freeze | ProveStop | Kill | KillCells | Insist | Inspect


class Facts(NamedTuple):
    """What a step brought to light.

    Args:
        now: the time, in seconds on the clock of the plan.
        gone: who was seen to be dead.
        denied: whom the system did not let us signal.
        appeared: who is a member and was not known before.
        hurry: whether somebody wants the force now.
        sure: whether the last scan can have missed nobody who was there.
    """

    now: float
    gone: Iterable[Member] = ()
    denied: Iterable[Member] = ()
    appeared: Iterable[Member] = ()
    hurry: bool = False
    sure: bool = True


class Outcome(NamedTuple):
    """What became of one member, when its death was seen, and what else there is to say."""

    member: Member
    fate: Fate
    seconds: float | None
    detail: str | None = None


Way = Literal["stop", "ask", "force"]
"""All of it; or only the request; or only the force, without waiting for anybody's death."""
