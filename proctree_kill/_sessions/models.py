"""The states, events and stop results of sessions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from .._models.base import Model
from .._models.result import KillResult, outcome_table
from .._models.shown import Shown
from .._models.text import Table, printable


class SessionState(StrEnum):
    """The state of a session."""

    STARTING = "starting"
    """Its intent is on disk; its agent has not started yet."""
    RUNNING = "running"
    STOPPING = "stopping"
    """Its tree is being ended, after a stop or after the agent exited by itself."""
    STOPPED = "stopped"
    """It was stopped, and no process of its tree is left."""
    EXITED = "exited"
    """The agent exited by itself, and no process of its tree is left."""
    FAILED = "failed"
    """It could not start, or a process survived its stop; another stop tries again."""
    LOST = "lost"
    """Its worker process is gone without a word; only a fleet says so."""


MOVES: Mapping[SessionState, frozenset[SessionState]] = {
    SessionState.STARTING: frozenset({SessionState.RUNNING, SessionState.FAILED}),
    SessionState.RUNNING: frozenset({SessionState.STOPPING}),
    SessionState.STOPPING: frozenset(
        {SessionState.STOPPED, SessionState.EXITED, SessionState.FAILED}
    ),
    SessionState.FAILED: frozenset({SessionState.STOPPING}),
    SessionState.STOPPED: frozenset(),
    SessionState.EXITED: frozenset(),
    SessionState.LOST: frozenset(),
}
"""The states that may follow each state."""

StopMethod = Literal[
    "shutdown",
    "closed_stdin",
    "terminated",
    "killed",
    "timed_out",
    "recovered_record",
    "nothing_to_stop",
    "not_found",
    "unreachable",
]
EventKind = Literal[
    "started",
    "timed_out",
    "stopping",
    "stopped",
    "stop_failed",
    "exited",
    "recovered",
    "lost",
]
TimeoutReason = Literal["idle_timeout", "max_lifetime"]


class StopResult(Shown, Model):
    """The result of a stop.

    Args:
        success: whether it is verified that no process of the tree is left.
        session_id: the session.
        method: what ended the tree: ``shutdown`` (it exited because of the session's hook),
            ``closed_stdin`` (it exited when its input was closed),
            ``terminated`` (a signal asked it), ``killed`` (force),
            ``timed_out`` (any of these, after its ``idle_timeout`` or ``max_lifetime``),
            ``recovered_record`` (its record led to it),
            ``nothing_to_stop`` (no process was left to ask),
            ``not_found`` (no session has this id; no success),
            ``unreachable`` (its machine did not answer; only of a fleet, no success).
        message: what happened, as a sentence.
        error: what went wrong, or None.
        kill: the outcome of each process; None where no tree was looked for.
    """

    success: bool
    session_id: str
    method: StopMethod
    message: str
    error: str | None = None
    kill: KillResult | None = None

    @property
    def ok(self) -> bool:
        """The same as ``success``."""
        return self.success

    def summary(self) -> str:
        """Return the result in one line: its ``message``."""
        return printable(self.message)

    def _table(self) -> Table:
        return outcome_table(self.kill)


class SessionEvent(Model):
    """An event in the life of a session.

    Args:
        event: ``TOOL.session.`` and ``started``, ``timed_out``, ``stopping``, ``stopped``,
            ``stop_failed``, ``exited``, ``recovered`` or, in a fleet, ``lost``.
        session_id: the session.
        tool: the kind of its agent.
        state: the new state of the session.
        pid: the root of its tree; None where that is unknown.
        method: what ended the tree; None before it has ended.
        error: what went wrong, or None.
        reason: ``idle_timeout`` or ``max_lifetime`` where it timed out, else None.
        at: seconds since the epoch.
    """

    event: str
    session_id: str
    tool: str
    state: SessionState
    pid: int | None
    method: StopMethod | None = None
    error: str | None = None
    reason: TimeoutReason | None = None
    at: float
