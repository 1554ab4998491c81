"""The steps that the plan yields, and the facts that it receives for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from .._models.result import Fate
from .._systems.member import Member


class CallHook(NamedTuple):
    """Call the caller's shutdown hook, and do not wait for it; not during a hurry."""


class AbandonHook(NamedTuple):
    """Wait for the hook no longer."""


class CloseInput(NamedTuple):
    """Close the standard input of the roots, where the target object holds it."""


class FindTrackers(NamedTuple):
    """Read which of these interpreters are resource trackers."""

    members: list[Member]


class ReadResponses(NamedTuple):
    """Read how these respond to a signal."""

    members: list[Member]
    signal: str


class Ask(NamedTuple):
    """Ask these by a signal, in this order; helper programs must be done at ``until``.

    The request may reach ``others`` as well: Windows sends it to a whole console group.
    """

    members: list[Member]
    until: float
    signal: str
    others: list[Member]


class Continue(NamedTuple):
    """Continue these stopped members: a stopped process handles no other signal."""

    members: list[Member]


class Wait(NamedTuple):
    """Wait until one of these is dead, or until this time."""

    members: list[Member]
    until: float


class Rescan(NamedTuple):
    """Look for new members.

    A light scan is skipped if no process was born since the last one.
    It can miss a fork under way: the kernel counts the birth before it lists the child.
    """

    light: bool = False


class Freeze(NamedTuple):
    """Stop these, so that they cannot fork; with ``groups`` the groups of roots as a whole too."""

    members: list[Member]
    groups: bool = True


class Hold(NamedTuple):
    """Stop these until they are asked, so that what they start by then is known."""

    members: list[Member]


class ProveStop(NamedTuple):
    """Wait until each of these is seen stopped, at most until this time.

    SIGSTOP does not end a fork that is under way.
    """

    members: list[Member]
    until: float


class Kill(NamedTuple):
    """Kill these, in this order; with ``groups`` the groups of roots as a whole too."""

    members: list[Member]
    groups: bool = True


class KillCells(NamedTuple):
    """Have the kernel kill all processes in the cells at once; these members are in them."""

    members: list[Member]


class Insist(NamedTuple):
    """Kill these, which survived the kill, by the system's second way, until this time."""

    members: list[Member]
    until: float


class Explain(NamedTuple):
    """Note why these survived the kill."""

    members: list[Member]


class Inspect(NamedTuple):
    """Read the exit codes of these dead."""

    members: list[Member]


Step = (
    CallHook
    | AbandonHook
    | CloseInput
    | FindTrackers
    | ReadResponses
    | Ask
    | Continue
    | Wait
    | Rescan
    | Freeze
    | Hold
    | ProveStop
    | Kill
    | KillCells
    | Insist
    | Explain
    | Inspect
)


HookState = Literal["running", "returned", "raised", "abandoned"]


class Facts(NamedTuple):
    """What a step found.

    Args:
        now: the time, in seconds on the clock of the plan.
        gone: members that were seen dead.
        denied: members that the system did not let us signal.
        appeared: new members.
        hurry: whether the force is to begin now.
        sure: whether the last scan cannot have missed a member.
        asked: more members that the request has reached.
        spared: members that have come to be spared, and were not sent this signal.
        hook: what became of the shutdown hook; None before its call.
    """

    now: float
    gone: Iterable[Member] = ()
    denied: Iterable[Member] = ()
    appeared: Iterable[Member] = ()
    hurry: bool = False
    sure: bool = True
    asked: Iterable[Member] = ()
    spared: Iterable[Member] = ()
    hook: HookState | None = None


class Outcome(NamedTuple):
    """What became of one member; ``seconds`` run from the start until its death was seen."""

    member: Member
    fate: Fate
    seconds: float | None
    detail: str | None = None


Way = Literal["stop", "ask", "force"]
"""The whole escalation; or only the request; or only the force, without waiting for deaths."""
