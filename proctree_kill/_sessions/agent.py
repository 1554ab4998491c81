"""One session inside its manager, and what its user sees of it."""

from __future__ import annotations

import threading
import time
from typing import Any

from .._engine.killing import Hurry
from .._models.errors import SessionError
from .._models.identity import ProcessIdentity
from .._records.recording import Recording
from .._spawn.popen import TreePopen
from .models import MOVES, SessionState, StopResult

_ENDABLE = (SessionState.RUNNING, SessionState.FAILED)


class Ending:
    """The end of a session that is under way; whoever comes later waits for it and hurries it.

    Attributes:
        hurry: lets the force begin.
        over: set when there is a result.
        result: what came of it.
    """

    def __init__(self) -> None:
        """Begin without a result."""
        self.hurry = Hurry()
        self.over = threading.Event()
        self.result: StopResult | None = None


class Agent:
    """A session: one lock, held only to read and to change what is written here.

    Attributes:
        born: set when it is known whether the agent was started.
        recording: its record; None for one that is known by a record only.
        process: what was started, from the moment on that it was.
    """

    def __init__(self, session_id: str, tool: str, recording: Recording | None = None) -> None:
        """Begin before the start."""
        self.session_id = session_id
        self.tool = tool
        self.recording = recording
        self.recovered = recording is None
        self.born = threading.Event()
        self.state = SessionState.STARTING
        self.process: TreePopen[Any] | None = None
        self.identity: ProcessIdentity | None = None
        self.started_at: float | None = None
        self.exit_code: int | None = None
        self._lock = threading.Lock()
        self._ending: Ending | None = None

    def started(self) -> None:
        """Note that the process was started; :meth:`settle` lets others at it."""
        if self.process is not None:
            self._begun(self.process.identity, time.time())

    def recalled(self, identity: ProcessIdentity | None, started_at: float | None) -> None:
        """Take in what the record of a session says that another process started."""
        self._begun(identity, started_at)
        self.settle()

    def settle(self) -> None:
        """Let nobody wait any more for the start, wherever it was interrupted."""
        with self._lock:
            if self.state is SessionState.STARTING:
                self._move(SessionState.FAILED if self.process is None else SessionState.RUNNING)
        self.born.set()

    def end(self) -> tuple[Ending | None, bool]:
        """Return the end that is under way, and whether it begins now and is the caller's to lead.

        None where nobody is there to be ended.
        """
        with self._lock:
            if self._ending is not None or not self._endable:
                return self._ending, False
            return self._begin_end(), True

    def leave(self) -> Ending | None:
        """Begin the end of an agent that left by itself; None where a stop is under way."""
        with self._lock:
            return self._begin_end() if self._ending is None and self._endable else None

    def ended(self, state: SessionState) -> None:
        """Note how the end under way ended; one that failed can be tried again."""
        with self._lock:
            self._move(state)
            self._ending = None
            if self.process is not None:
                self.exit_code = self.process.returncode

    def _begun(self, identity: ProcessIdentity | None, started_at: float | None) -> None:
        with self._lock:
            self.identity = identity
            self.started_at = started_at
            self._move(SessionState.RUNNING)

    @property
    def _endable(self) -> bool:
        """Whether there is, or may be, somebody to be ended."""
        return self.state in _ENDABLE and (self.process is not None or self.recovered)

    def _begin_end(self) -> Ending:
        """Begin the end, under the lock."""
        self._move(SessionState.STOPPING)
        self._ending = Ending()
        return self._ending

    def _move(self, state: SessionState) -> None:
        """Change the state, if the table allows it."""
        if state not in MOVES[self.state]:
            reason = f"it cannot become {state} where it is {self.state}"
            raise SessionError(self.session_id, reason)
        self.state = state


class Session:
    """A session as its user sees it: it tells, and :class:`SessionManager` acts.

    It stays true after the session has ended and left the manager.
    """

    def __init__(self, agent: Agent) -> None:
        """Show one; :meth:`SessionManager.spawn_agent` is the way to get one."""
        self._agent = agent

    @property
    def id(self) -> str:
        """Return its id."""
        return self._agent.session_id

    @property
    def tool(self) -> str:
        """Return what kind of agent it is, the first word of its events."""
        return self._agent.tool

    @property
    def state(self) -> SessionState:
        """Return where it stands now."""
        return self._agent.state

    @property
    def identity(self) -> ProcessIdentity | None:
        """Return which process its root is; None while it is not started."""
        return self._agent.identity

    @property
    def started_at(self) -> float | None:
        """Return when it was started, in seconds since the epoch."""
        return self._agent.started_at

    @property
    def exit_code(self) -> int | None:
        """Return what the root left with, as ``subprocess`` says it; None while that is unknown."""
        return self._agent.exit_code

    @property
    def recovered(self) -> bool:
        """Return whether it is known by a record only, that somebody else wrote."""
        return self._agent.recovered

    @property
    def process(self) -> TreePopen[Any] | None:
        """Return the process, with its pipes; None for one that somebody else started."""
        return self._agent.process

    def __repr__(self) -> str:
        root = "no process" if self.identity is None else f"process {self.identity}"
        return f"<Session {self.id!r} ({self.tool}): {self.state}, {root}>"
