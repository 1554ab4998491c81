"""One session: what its manager changes, and the view of it that the user has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, cast

from .._engine.killing import Hurry
from .._engine.shutdown import ShutdownHook, check_hook
from .._engine.spare import Spare, check_spare
from .._engine.target import Aim, Claim, Contained
from .._models.errors import SessionError
from .._models.identity import ProcessIdentity
from .._records.recording import Recording
from .._running.loops import LoopCaller
from .._running.threads import blocked_signals
from .._spawn.idle import IdleClock, check_seconds
from .._spawn.popen import TreePopen
from .models import MOVES, SessionState, StopResult

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # that of Python 3.13, which has defaults

    ProcessT_co = TypeVar(
        "ProcessT_co",
        bound=TreePopen[Any] | None,
        default=TreePopen[Any] | None,
        covariant=True,
    )
else:
    from typing import TypeVar

    ProcessT_co = TypeVar("ProcessT_co", covariant=True)

SessionShutdown = Callable[["Session[Any]"], object]


class StopOptions:
    """How and when one session is stopped; checked before its start."""

    def __init__(
        self,
        shutdown: SessionShutdown | None = None,
        spare: Spare | None = None,
        loop: LoopCaller | None = None,
        idle_timeout: float | None = None,
        max_lifetime: float | None = None,
    ) -> None:
        """Take what :meth:`SessionManager.spawn_agent` was given.

        Args:
            shutdown: called with the session before any signal.
            spare: the processes that are not touched.
            loop: makes the call on an event loop; default in a thread.
            idle_timeout: seconds without activity after which it is stopped.
            max_lifetime: seconds after which it is stopped in any case.

        Raises:
            TypeError, ValueError: one of them is wrong.
        """
        if shutdown is not None:
            check_hook(shutdown, awaited=loop is not None)
        # A stop can be tried again, and reads it again.
        self.spare = check_spare(spare)
        self.idle_timeout = check_seconds("idle_timeout", idle_timeout)
        self.max_lifetime = check_seconds("max_lifetime", max_lifetime)
        self._shutdown = shutdown
        self._loop = loop
        # Not those of the thread that calls the hook, which may be ours.
        self._blocked = blocked_signals()

    def hook(self, session: ManagedSession) -> ShutdownHook | None:
        """Return the hook of one stop."""
        if self._shutdown is None:
            return None
        return ShutdownHook(partial(self._shutdown, Session(session)), self._loop, self._blocked)


class OngoingStop:
    """A stop under way. A later call hurries it and waits for the same result."""

    def __init__(self) -> None:
        """Begin without a result."""
        self.hurry = Hurry()
        self.result: Future[StopResult] = Future()


class ManagedSession:
    """A session as its manager changes it. The lock is held for changes, never during a wait.

    Attributes:
        recording: its record; None for a session that another process started.
        options: how it is stopped.
        start_over: set when the start has succeeded or failed.
        process: the agent; None before its start, and for a session of another process.
        idle: the clock of its idle timeout, if there is one.
    """

    def __init__(
        self,
        session_id: str,
        tool: str,
        recording: Recording | None = None,
        options: StopOptions | None = None,
    ) -> None:
        """Begin before the start."""
        self.session_id = session_id
        self.tool = tool
        self.recording = recording
        self.options = options or StopOptions()
        self.recovered = recording is None
        self.start_over = threading.Event()
        self.state = SessionState.STARTING
        self.process: TreePopen[Any] | None = None
        self.idle: IdleClock | None = None
        self.identity: ProcessIdentity | None = None
        self.started_at: float | None = None
        self.exit_code: int | None = None
        self.result: StopResult | None = None
        self._lock = threading.Lock()
        self._stop: OngoingStop | None = None

    def set_running(self, identity: ProcessIdentity | None, started_at: float | None) -> None:
        """Note a start. Stops still wait for :meth:`end_start`."""
        with self._lock:
            self.identity = identity
            self.started_at = started_at
            self._move(SessionState.RUNNING)

    def end_start(self) -> None:
        """Let stops go on that wait for the start, also where the start was interrupted."""
        with self._lock:
            if self.state is SessionState.STARTING:
                self._move(SessionState.FAILED if self.process is None else SessionState.RUNNING)
        self.start_over.set()

    def begin_stop(self) -> tuple[OngoingStop | None, bool]:
        """Return the ongoing stop, None if there is nothing to end, and whether it is new.

        The caller that gets a new one carries it out.
        """
        with self._lock:
            stoppable = self.state in (SessionState.RUNNING, SessionState.FAILED)
            has_tree = self.process is not None or self.recovered
            if self._stop is not None or not (stoppable and has_tree):
                return self._stop, False
            self._move(SessionState.STOPPING)
            self._stop = OngoingStop()
            return self._stop, True

    def end_stop(self, state: SessionState, result: StopResult) -> None:
        """Note the state after the ongoing stop; a failed one can be tried again."""
        with self._lock:
            self._move(state)
            self.result = result
            self._stop = None
            if self.process is not None:
                self.exit_code = self.process.exit_code

    def _move(self, state: SessionState) -> None:
        if state not in MOVES[self.state]:
            reason = f"it cannot become {state} where it is {self.state}"
            raise SessionError(self.session_id, reason)
        self.state = state


class Session(Contained, Generic[ProcessT_co]):
    """A read-only view of a session; :class:`SessionManager` starts and stops it.

    It stays valid after the session has ended and left the manager.
    It is a target: ``snapshot_tree(session)`` shows its tree.

    To a type checker the session of :meth:`SessionManager.spawn_agent` is a
    ``Session[TreePopen[bytes]]``, or ``Session[TreePopen[str]]`` where its pipes are text: its
    ``process`` is never None. Plain ``Session`` is any session.
    """

    def __init__(self, managed: ManagedSession) -> None:
        """Show a session; use :meth:`SessionManager.spawn_agent` to get one."""
        self._managed = managed

    @property
    def session_id(self) -> str:
        """The id."""
        return self._managed.session_id

    @property
    def tool(self) -> str:
        """The kind of agent, the first word of its events."""
        return self._managed.tool

    @property
    def state(self) -> SessionState:
        """The current state."""
        return self._managed.state

    @property
    def identity(self) -> ProcessIdentity | None:
        """The identity of its root; None before the start, and where no record has it."""
        return self._managed.identity

    @property
    def pid(self) -> int | None:
        """The pid of its root; None where :attr:`identity` is."""
        return None if self.identity is None else self.identity.pid

    @property
    def started_at(self) -> float | None:
        """The time of its start, in seconds since the epoch; None while it is unknown."""
        return self._managed.started_at

    @property
    def exit_code(self) -> int | None:
        """The exit code of the root, negative for a signal; None while it is unknown."""
        return self._managed.exit_code

    @property
    def result(self) -> StopResult | None:
        """The result of its last stop, or of the end of what an exit left; None before."""
        return self._managed.result

    @property
    def recovered(self) -> bool:
        """Whether it is known only by a record, which another process wrote."""
        return self._managed.recovered

    @property
    def process(self) -> ProcessT_co:
        """The process, with its pipes; None for a session that another process started."""
        return cast("ProcessT_co", self._managed.process)  # the manager gives it its type

    def touch(self) -> None:
        """Note activity, so that the ``idle_timeout`` begins anew.

        For each message from or to the agent: its pipes are not read here. It may be called from
        any thread, an event loop and a signal handler. It does nothing where the session has no
        ``idle_timeout``, is over, or was started by another process.

        Raises:
            SessionError: this process is a fork of the one that started the session.
        """
        managed = self._managed
        if managed.process is not None and (reason := managed.process.containment.refusal):
            raise SessionError(self.session_id, reason)
        if managed.idle is not None:
            managed.idle.note_activity(time.monotonic())

    def aim(self) -> Aim:
        """Return the claims and the markers of its tree.

        Raises:
            ValueError: no process of it is known.
        """
        if self._managed.process is not None:
            return self._managed.process.aim()
        if self.identity is None:
            text = f"{self!r} has no pid: it is not started"
            raise ValueError(text)
        return Aim([Claim(self.identity.pid, self.identity)])

    def __repr__(self) -> str:
        root = "no process" if self.identity is None else f"process {self.identity}"
        return f"<Session {self.session_id!r} ({self.tool}): {self.state}, {root}>"
