"""What is said about sessions: their states, events and stops. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from .._models.base import Model
from .._models.result import KillResult


class SessionState(StrEnum):
    """Where a session stands."""

    STARTING = "starting"
    """Its intent is on disk, its agent not there yet."""
    RUNNING = "running"
    STOPPING = "stopping"
    """Its tree is being ended, after a stop or after the agent left by itself."""
    STOPPED = "stopped"
    """It was stopped, and nobody is left."""
    EXITED = "exited"
    """The agent left by itself, and nobody is left."""
    FAILED = "failed"
    """It could not be started, or somebody survived its stop, which can be tried again."""


MOVES: Mapping[SessionState, frozenset[SessionState]] = {
    SessionState.STARTING: frozenset({SessionState.RUNNING, SessionState.FAILED}),
    SessionState.RUNNING: frozenset({SessionState.STOPPING}),
    SessionState.STOPPING: frozenset(
        {SessionState.STOPPED, SessionState.EXITED, SessionState.FAILED}
    ),
    SessionState.FAILED: frozenset({SessionState.STOPPING}),
    SessionState.STOPPED: frozenset(),
    SessionState.EXITED: frozenset(),
}
"""Which state may follow which."""

StopMethod = Literal["closed_stdin", "terminated", "killed", "recovered_record", "nothing_to_stop"]
Happening = Literal["started", "stopping", "stopped", "stop_failed", "exited", "recovered"]


class StopResult(Model):
    """What became of a stop.

    Args:
        success: whether it is verified that nobody is left.
        session_id: whose stop it was.
        method: what it took: ``closed_stdin`` (the agent left when its input was closed),
            ``terminated`` (asked by a signal), ``killed`` (forced), ``recovered_record``
            (ended by what its record says), ``nothing_to_stop``.
        message: what happened, as a sentence.
        error: what went wrong, or None.
        kill: what was done to each process; None where nobody was looked for.
    """

    success: bool
    session_id: str
    method: StopMethod
    message: str
    error: str | None = None
    kill: KillResult | None = None


class SessionEvent(Model):
    """Something that happened to a session.

    Args:
        event: ``TOOL.session.`` and ``started``, ``stopping``, ``stopped``, ``stop_failed``,
            ``exited`` or ``recovered``.
        session_id: whose event it is.
        tool: what kind of agent it is.
        state: the state of the session from now on.
        pid: the root of its tree, where it is known.
        method: how it was stopped, once it was.
        error: what went wrong, or None.
        at: seconds since the epoch.
    """

    event: str
    session_id: str
    tool: str
    state: SessionState
    pid: int | None
    method: StopMethod | None = None
    error: str | None = None
    at: float
