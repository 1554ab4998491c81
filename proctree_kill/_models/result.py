"""What a kill returns: the fate of each process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import Literal, Self

from .base import Model
from .errors import ProctreeKillError
from .identity import ProcessIdentity
from .shown import Shown
from .text import Row, Table, printable
from .tree import Evidence, TreeMember, named
from .usage import Usage, note, remarks

FORCE = frozenset({"SIGKILL", "TerminateProcess", "taskkill /F"})
"""The names in ``signals`` that a process cannot ignore."""

_HEADS = ("PID", "NAME", "FATE", "SIGNALS", "EXIT", "AFTER", "EVIDENCE", "NOTE")

EventKind = Literal["asked", "escalated", "found", "gone", "settled"]


class Fate(StrEnum):
    """What became of a process."""

    ALREADY_GONE = "already_gone"
    """It was dead before anything was sent."""
    TERMINATED = "terminated"
    """It exited after it was asked, within the grace."""
    KILLED = "killed"
    """It was ended by force."""
    DENIED = "denied"
    """The system refused the signal. It is alive."""
    SURVIVED = "survived"
    """It was signalled, and was alive at the deadline."""
    SPARED = "spared"
    """The caller excluded it."""


_STYLES = {
    Fate.ALREADY_GONE: "dim",
    Fate.TERMINATED: "green",
    Fate.KILLED: "yellow",
    Fate.DENIED: "bold red",
    Fate.SURVIVED: "bold red",
    Fate.SPARED: "cyan",
}
"""The styles of rich."""


class ProcessOutcome(TreeMember):
    """What was done to one process, and the outcome.

    Args:
        fate: the outcome.
        signals: the names of the signals sent to it, in order.
        exit_code: the exit code as in ``subprocess``, negative for a signal; None if unknown.
        seconds: from the start of the call until its death was seen; None while it is alive.
        detail: a note for a reader, or None.
    """

    fate: Fate
    signals: tuple[str, ...] = ()
    exit_code: int | None = None
    seconds: float | None = None
    detail: str | None = None

    def __str__(self) -> str:
        after = "" if self.seconds is None else f" in {self.seconds:.2f} s"
        return f"{named(self)}: {self.fate.replace('_', ' ')}{after}"


class KillEvent(Model):
    """A step of a kill, reported while it happens.

    Args:
        kind: ``asked``, ``escalated`` (force began), ``found`` (a process not known before),
            ``gone`` or ``settled`` (the last event of every call).
        seconds: since the call began.
        identity: the process; None for an event of the whole tree.
        remaining: how many of the processes to end are alive.
    """

    kind: EventKind
    seconds: float
    identity: ProcessIdentity | None = None
    remaining: int


class KillResult(Shown, Model):
    """What a kill did to each process.

    Args:
        target: the identity of each target.
        outcomes: one for each process, in the order in which they were asked.
        seconds: how long the call took.
        verified: the evidence whose last scan found no process; empty if a process survived.
        usage: what the tree used; None where no process told.
    """

    target: tuple[ProcessIdentity, ...]
    outcomes: tuple[ProcessOutcome, ...]
    seconds: float
    verified: tuple[Evidence, ...] = ()
    usage: Usage | None = None

    @property
    def survivors(self) -> tuple[ProcessOutcome, ...]:
        """The processes that should have ended and are alive, denied ones included."""
        alive = (Fate.DENIED, Fate.SURVIVED)
        return tuple(outcome for outcome in self.outcomes if outcome.fate in alive)

    @property
    def ok(self) -> bool:
        """Whether there are no survivors."""
        return not self.survivors

    @property
    def forced(self) -> bool:
        """Whether force was used."""
        return any(FORCE.intersection(outcome.signals) for outcome in self.outcomes)

    @property
    def root(self) -> ProcessOutcome | None:
        """The outcome of the first root; None if the root was not included."""
        roots = (outcome for outcome in self.outcomes if Evidence.ROOT in outcome.evidence)
        return next(roots, None)

    def summary(self) -> str:
        """Return the result in one line."""
        count = Counter(outcome.fate for outcome in self.outcomes)
        parts = [f"{count[fate]:,} {fate.replace('_', ' ')}" for fate in Fate if count[fate]]
        ended = f"{', '.join(parts) or 'no process'} in {self.seconds:.2f} s"
        return "; ".join([ended, *remarks(self.usage)])

    def _table(self) -> Table:
        return outcome_table(self)

    def _closing(self) -> str:
        return closing_line(self)

    def raise_for_survivors(self) -> Self:
        """Return this result if there are no survivors.

        Raises:
            SurvivorsError: there are survivors.
        """
        if self.survivors:
            raise SurvivorsError(self)
        return self


GONE = "it was gone already"
"""The detail of a target of which no process was found."""


def outcome_table(result: KillResult | None) -> Table:
    """Show what became of each process, in the order asked; no rows if the closing line says it."""
    outcomes = result.outcomes if result else ()
    if all(
        outcome.fate is Fate.ALREADY_GONE and outcome.detail in (None, GONE) for outcome in outcomes
    ):
        outcomes = ()
    rows = [Row(tuple(_cells(outcome)), _STYLES[outcome.fate]) for outcome in outcomes]
    optional = ("EVIDENCE", "SIGNALS", "EXIT", "AFTER")
    return Table(_HEADS, rows, text="NOTE", optional=optional).compact()


def without_gone(result: KillResult) -> KillResult:
    """Leave out the processes that were dead before."""
    left = (outcome for outcome in result.outcomes if outcome.fate is not Fate.ALREADY_GONE)
    return result.model_copy(update={"outcomes": tuple(left)})


def closing_line(result: KillResult) -> str:
    """Return a result in one line, also if there was nothing to do; and what the tree used."""
    return "; ".join([_closing(result), *note(result.usage)])


def _closing(result: KillResult) -> str:
    fates = {outcome.fate for outcome in result.outcomes}
    if fates == {Fate.ALREADY_GONE}:
        pids = [str(outcome.identity.pid) for outcome in result.outcomes]
        was = f"process {pids[0]} was" if len(pids) == 1 else f"processes {', '.join(pids)} were"
        return "; ".join([f"nothing to do: {was} gone already", *remarks(result.usage)])
    if fates <= {Fate.ALREADY_GONE, Fate.SPARED}:
        return "; ".join(["nothing to do: no process to end", *remarks(result.usage)])
    if not result.verified:
        return result.summary()
    return f"{result.summary()}; the last scan ({', '.join(result.verified)}) found no process"


def _cells(outcome: ProcessOutcome) -> Iterator[str]:
    yield str(outcome.identity.pid)
    yield printable(outcome.name or "")
    yield outcome.fate.replace("_", " ")
    yield " ".join(name.removeprefix("SIG") for name in outcome.signals)
    yield "" if outcome.exit_code is None else str(outcome.exit_code)
    yield "" if outcome.seconds is None else f"{outcome.seconds:.2f} s"
    yield ", ".join(outcome.evidence)
    yield printable("; ".join(filter(None, (outcome.spared, outcome.detail))))


class SurvivorsError(ProctreeKillError):
    """A process that should have ended is alive.

    Attributes:
        result: the whole result, with the outcomes of the dead processes.
    """

    def __init__(self, result: KillResult) -> None:
        """Pass all facts to the base, so that the exception pickles."""
        super().__init__(result)
        self.result = result

    def __str__(self) -> str:
        alive = ", ".join(
            f"{printable(survivor.name or '?')} ({survivor.identity.pid}, {survivor.fate})"
            for survivor in self.result.survivors
        )
        return f"{len(self.result.survivors)} still alive: {alive}"
