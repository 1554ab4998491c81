"""What is said about processes: identities, trees, outcomes. Pure."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from ..errors import SurvivorsError
from .drawing import ASCII, LINES, branches

WEAK_TOLERANCE = 2.0
"""Seconds by which wall-clock start times of one process may differ (macOS: 1.00 s was seen)."""


FORCE = frozenset({"SIGKILL", "TerminateProcess", "taskkill /F"})
"""The signals, by name, that leave a process no choice."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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


class Evidence(StrEnum):
    """Why a process belongs to a tree."""

    ROOT = "root"
    DESCENDANT = "descendant"
    SESSION = "session"
    MARKER = "marker"
    CGROUP = "cgroup"
    JOB = "job"


class ProcessIdentity(_Model):
    """Which process a pid meant when it was looked at.

    A pid alone is no identity: the number is used again.
    What a system does not tell is None, and None never matches;
    boot and inode, or boot and start, are enough.

    Args:
        pid: the number, as seen from the caller's pid namespace.
        boot_id: Linux: the random id of this boot (``/proc/sys/kernel/random/boot_id``).
        start: Linux: start in clock ticks since boot (field 22 of ``/proc/PID/stat``, proc(5));
            Windows: the creation FILETIME, in units of 100 ns.
        inode: Linux 6.9 and later: the inode of a pidfd, unique for the boot.
        create_time: macOS, BSD: start in seconds since the epoch; weak, for the clock may be set.
    """

    pid: int
    boot_id: str | None = None
    start: int | None = None
    inode: int | None = None
    create_time: float | None = None

    @property
    def weak(self) -> bool:
        """Whether only a wall-clock time tells this process from a later owner of its number."""
        return self.start is None and None in (self.boot_id, self.inode)

    def same_process(self, other: ProcessIdentity) -> bool | None:
        """Tell whether two identities name one process; None where it cannot be known."""
        boots, starts = (self.boot_id, other.boot_id), (self.start, other.start)
        inodes = (self.inode, other.inode)
        if self.pid != other.pid or any(map(_differ, (boots, starts, inodes))):
            return False
        if None not in starts:
            return True if self.boot_id == other.boot_id else None
        if None not in boots and None not in inodes:
            return True
        if self.create_time is not None and other.create_time is not None:
            return abs(self.create_time - other.create_time) <= WEAK_TOLERANCE
        return None

    def __str__(self) -> str:
        return str(self.pid)


def _differ(known: tuple[object, object]) -> bool:
    """Whether both are known and are not the same."""
    return None not in known and known[0] != known[1]


class TreeMember(_Model):
    """One process of a tree, and why it is one.

    Args:
        identity: which process.
        name: its short name, as the kernel has it; None where it could not be read.
        ppid: its parent when it was found.
        depth: how far it is below its root; an orphan counts as a child of the root.
        evidence: why it belongs to the tree, sorted.
        spared: why it is not to be touched, or None.
    """

    identity: ProcessIdentity
    name: str | None = None
    ppid: int | None = None
    depth: int = 0
    evidence: tuple[Evidence, ...] = ()
    spared: str | None = None


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


class KillEvent(_Model):
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


class TreeSnapshot(_Model):
    """A tree as it was found: the dry run of a kill, and itself a target.

    Args:
        target: what was asked for, one identity a target.
        members: who belongs to it, in the order in which they would be asked.
        refusal: why :func:`~proctree_kill.kill_tree` would refuse, or None.
    """

    target: tuple[ProcessIdentity, ...]
    members: tuple[TreeMember, ...]
    refusal: str | None = None

    def render(self, *, ascii_only: bool = False) -> str:
        """Draw the tree as text, parents above their children, a line a process.

        Args:
            ascii_only: whether to draw without the characters that older code pages lack.
        """
        lines = [f"refused: {self.refusal}"] if self.refusal else []
        glyphs = ASCII if ascii_only else LINES
        lines += [f"{indent}{_line(one)}" for indent, one in branches(self.members, glyphs)]
        return "\n".join(lines) or "nobody"


def _line(one: TreeMember) -> str:
    """Write a member in one line."""
    reasons = [*one.evidence, *([f"spared: {one.spared}"] if one.spared else [])]
    return f"{one.name or '?'} {one.identity.pid} [{', '.join(reasons)}]"


class KillResult(_Model):
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
