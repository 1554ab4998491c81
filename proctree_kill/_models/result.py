"""What a kill returns: a fate for each process."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Literal, Self

from .base import Model
from .errors import ProctreeKillError
from .identity import ProcessIdentity
from .tree import Evidence, TreeMember

FORCE = frozenset({"SIGKILL", "TerminateProcess", "taskkill /F"})
"""The signals, by name, that leave a process no choice."""


class Fate(StrEnum):
    """What became of a process."""

    ALREADY_GONE = "already_gone"
    """It was dead before anything was sent."""
    TERMINATED = "terminated"
    """It left after being asked, within the grace."""
    KILLED = "killed"
    """It died by force."""
    DENIED = "denied"
    """The system refused; it lives."""
    SURVIVED = "survived"
    """It was signalled and is alive at the deadline."""
    SPARED = "spared"
    """It was not to be touched."""


class ProcessOutcome(TreeMember):
    """What was done to one process, and what became of it.

    Args:
        fate: what became of it.
        signals: what was sent, in order, by name.
        exit_code: as ``subprocess`` says it, negative for a signal; None where nobody told.
        seconds: from the start of the call until its death was seen; None while it lives.
        detail: what else there is to say.
    """

    fate: Fate
    signals: tuple[str, ...] = ()
    exit_code: int | None = None
    seconds: float | None = None
    detail: str | None = None


class KillEvent(Model):
    """A step of a kill, told while it happens.

    Args:
        kind: ``asked``, ``escalated``, ``found`` (a process that was not known before),
            ``gone`` or ``settled`` (the last event of every call).
        seconds: since the call began.
        identity: which process; None for an event of the whole tree.
        remaining: how many of those who are meant to die are alive.
    """

    kind: Literal["asked", "escalated", "found", "gone", "settled"]
    seconds: float
    identity: ProcessIdentity | None = None
    remaining: int


class KillResult(Model):
    """What a kill did to each process.

    Args:
        target: what was asked for, one identity a target.
        outcomes: one a process, in the order in which they were asked.
        seconds: how long the call took.
        verified: the evidence whose last scan found nobody; empty while somebody lives.
    """

    target: tuple[ProcessIdentity, ...]
    outcomes: tuple[ProcessOutcome, ...]
    seconds: float
    verified: tuple[Evidence, ...] = ()

    @property
    def survivors(self) -> tuple[ProcessOutcome, ...]:
        """Everybody who was meant to die and lives, the denied ones too."""
        return tuple(one for one in self.outcomes if one.fate in (Fate.DENIED, Fate.SURVIVED))

    @property
    def ok(self) -> bool:
        """Whether nobody who was meant to die lives."""
        return not self.survivors

    @property
    def forced(self) -> bool:
        """Whether force was used."""
        return any(FORCE.intersection(one.signals) for one in self.outcomes)

    @property
    def root(self) -> ProcessOutcome | None:
        """The outcome of the (first) root; None where the root was not included."""
        return next((one for one in self.outcomes if Evidence.ROOT in one.evidence), None)

    def summary(self) -> str:
        """Say the result in one line."""
        count = Counter(one.fate for one in self.outcomes)
        parts = [f"{count[fate]} {fate.replace('_', ' ')}" for fate in Fate if count[fate]]
        return f"{', '.join(parts) or 'nobody there'} in {self.seconds:.2f} s"

    def raise_for_survivors(self) -> Self:
        """Return this result, or raise where somebody lives.

        Raises:
            SurvivorsError: somebody who was meant to die lives.
        """
        if self.survivors:
            raise SurvivorsError(self)
        return self


class SurvivorsError(ProctreeKillError):
    """Somebody who was meant to die lives.

    Attributes:
        result: the whole result, outcomes of the dead included.
    """

    def __init__(self, result: KillResult) -> None:
        """Keep the result as the argument, so that the exception pickles."""
        super().__init__(result)
        self.result = result

    def __str__(self) -> str:
        alive = ", ".join(
            f"{one.name or '?'} ({one.identity.pid}, {one.fate})" for one in self.result.survivors
        )
        return f"{len(self.result.survivors)} still alive: {alive}"
