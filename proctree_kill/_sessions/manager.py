"""SessionManager: agents that are started, recorded, watched and stopped."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from .._engine.spare import Spare
from .._models.errors import SessionError
from .._models.policy import KillPolicy, policy_or_default
from .._models.usage import Usage
from .._records.files import absolute
from .._records.format import DEFAULT_TOOL
from .._records.recover import Recovery
from .._records.report import RecordFate, RecoveryReport
from .._running import loops, threads
from .._running.loops import caller_here
from .._running.threads import Parallel
from .._spawn.popen import OPTIONS, TreePopen
from .._spawn.signature import check_names
from .events import Broadcaster, EventQueue
from .models import EventKind, SessionState, StopResult
from .registry import Registry
from .session import ManagedSession, Session, SessionShutdown, StopOptions
from .start import SessionStart
from .stop import SessionStop, not_found, nothing_to_stop

if TYPE_CHECKING:
    from typing import Unpack

    from .._spawn.options import Command
    from .options import AgentOptions

FLUSH = 1.0  # seconds that the end of a manager's block waits for its broadcaster
ENDED = "it has ended already"
AGENT_OPTIONS = OPTIONS.keys() - {"record", "leftovers", "linger"}  # of a TreePopen
OVER = (RecordFate.ENDED, RecordFate.GONE, RecordFate.RECYCLED)


class SessionManager:
    """Starts agents, knows their sessions, and stops each with its whole tree.

    A session is recorded in a folder before its agent runs. So another manager can stop it,
    and :meth:`recover` ends it after a crash of this process.
    When an agent exits by itself, the rest of its tree is ended.
    The end of the ``with`` block stops all sessions.

    All methods may be called from any thread; those that begin with ``a`` from an event loop.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        policy: KillPolicy | None = None,
        event_broadcaster: Broadcaster | None = None,
        guard: bool = True,
    ) -> None:
        """Take the folder of the records; nothing is read or made yet.

        Args:
            directory: the folder; the first session makes it with mode 0700.
                A relative path is resolved now.
            policy: how sessions are stopped; default ``KillPolicy()``.
            event_broadcaster: called with each :class:`SessionEvent`, in order, from one thread;
                default none.
                A coroutine function runs on the event loop in which the manager was entered.
            guard: whether the sessions end when this process ends in any way, or replaces itself
                (``os.execv``); default True.
                A small process, the guard, ends them; on Windows job objects do.
                Where no guard is available (a frozen program), a warning is logged,
                and only :meth:`recover` ends what a crash leaves.

        Raises:
            TypeError, ValueError: an argument is wrong.
        """
        policy = policy_or_default(policy).but(include_root=True)
        folder = absolute("directory", directory)
        self._queue = EventQueue(event_broadcaster)
        self._registry = Registry(folder, policy, self._queue, guarded=guard)
        self._owner = os.getpid()
        weakref.finalize(self, self._queue.close)

    @property
    def directory(self) -> Path:
        """The folder of the records, as an absolute path."""
        return self._registry.folder

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The current sessions, by their ids; sessions that have ended are not among them.

        Raises:
            SessionError: this process is a fork of the one that made the manager.
        """
        self._refuse_forked()
        sessions = self._registry.sessions()
        return MappingProxyType({name: Session(session) for name, session in sessions.items()})

    # fmt: off
    @overload
    def spawn_agent(self, session_id: str, cmd: Command, *,
                    text: Literal[True], encoding: str | None = None,
                    errors: str | None = None, **options: Unpack[AgentOptions[str]],
                    ) -> Session[TreePopen[str]]: ...
    @overload
    def spawn_agent(self, session_id: str, cmd: Command, *,
                    text: bool | None = None, encoding: str,
                    errors: str | None = None, **options: Unpack[AgentOptions[str]],
                    ) -> Session[TreePopen[str]]: ...
    @overload
    def spawn_agent(self, session_id: str, cmd: Command, *,
                    text: bool | None = None, encoding: str | None = None,
                    errors: str, **options: Unpack[AgentOptions[str]],
                    ) -> Session[TreePopen[str]]: ...
    @overload
    def spawn_agent(self, session_id: str, cmd: Command, *,
                    text: Literal[False] | None = None, encoding: None = None,
                    errors: None = None, **options: Unpack[AgentOptions[bytes]],
                    ) -> Session[TreePopen[bytes]]: ...
    @overload
    def spawn_agent(self, session_id: str, cmd: Command, *,
                    text: bool | None, encoding: str | None = None,
                    errors: str | None = None, **options: Unpack[AgentOptions[Any]],
                    ) -> Session[TreePopen[Any]]: ...
    # fmt: on

    def spawn_agent(
        self,
        session_id: str,
        cmd: Command,
        *,
        tool: str = DEFAULT_TOOL,
        shutdown: SessionShutdown | None = None,
        spare: Spare | None = None,
        idle_timeout: float | None = None,
        max_lifetime: float | None = None,
        **popen: Any,
    ) -> Session[TreePopen[Any]]:
        """Start an agent, as :class:`TreePopen` does, and record it before it runs.

        An interrupt (Ctrl-C) ends what was started before it is raised.

        Args:
            session_id: up to 128 letters, digits, dots, underscores and dashes.
            cmd: the program and its arguments.
            tool: the kind of agent, the first word of its events; default ``"mcp"``.
            shutdown: called with the session when it is stopped, before any signal, as the
                ``shutdown`` of :func:`kill_tree`; default none.
                A guard and a stop by record do not call it.
            spare: what a stop leaves alone, as for :func:`kill_tree`; default nothing. No name
                and no marker spares the agent itself. They are recorded, so that the guard, a
                recovery and a stop by record spare them too; pids and predicates are not.
            idle_timeout: seconds after which an idle session is stopped; default None: never.
                Idle: its tree used under 2 % of a core since its start or the last
                :meth:`Session.touch`; this is looked at when the time is up.
                A tree found busy starts a new period.
            max_lifetime: seconds after which the session is stopped, busy or not; default None:
                never.
            popen: all other options of :class:`TreePopen` except ``record``, ``leftovers`` and
                ``linger``.

        Returns:
            The session; its record is on disk.

        Raises:
            SessionError: the id is not valid or in use, the block of the manager has ended,
                or this process is a fork.
            RecordError: the record cannot be written, or there is one for this id.
            OSError, ValueError, subprocess.SubprocessError, ContainmentError:
                as for :class:`TreePopen`. No process is left after any exception.
            TypeError: an option is unknown or has the wrong type; nothing was started.
        """
        options = StopOptions(shutdown, spare, idle_timeout=idle_timeout, max_lifetime=max_lifetime)
        start = self._start(session_id, cmd, tool, options, popen)
        try:
            return threads.do(start.run)
        except BaseException:
            threads.do(start.undo)
            raise

    # fmt: off
    @overload
    async def aspawn_agent(self, session_id: str, cmd: Command, *,
                           text: Literal[True], encoding: str | None = None,
                           errors: str | None = None, **options: Unpack[AgentOptions[str]],
                           ) -> Session[TreePopen[str]]: ...
    @overload
    async def aspawn_agent(self, session_id: str, cmd: Command, *,
                           text: bool | None = None, encoding: str,
                           errors: str | None = None, **options: Unpack[AgentOptions[str]],
                           ) -> Session[TreePopen[str]]: ...
    @overload
    async def aspawn_agent(self, session_id: str, cmd: Command, *,
                           text: bool | None = None, encoding: str | None = None,
                           errors: str, **options: Unpack[AgentOptions[str]],
                           ) -> Session[TreePopen[str]]: ...
    @overload
    async def aspawn_agent(self, session_id: str, cmd: Command, *,
                           text: Literal[False] | None = None, encoding: None = None,
                           errors: None = None, **options: Unpack[AgentOptions[bytes]],
                           ) -> Session[TreePopen[bytes]]: ...
    @overload
    async def aspawn_agent(self, session_id: str, cmd: Command, *,
                           text: bool | None, encoding: str | None = None,
                           errors: str | None = None, **options: Unpack[AgentOptions[Any]],
                           ) -> Session[TreePopen[Any]]: ...
    # fmt: on

    async def aspawn_agent(
        self,
        session_id: str,
        cmd: Command,
        *,
        tool: str = DEFAULT_TOOL,
        shutdown: SessionShutdown | None = None,
        spare: Spare | None = None,
        idle_timeout: float | None = None,
        max_lifetime: float | None = None,
        **popen: Any,
    ) -> Session[TreePopen[Any]]:
        """Like :meth:`spawn_agent`, awaited.

        ``shutdown`` is a coroutine function, called on this event loop, and cancelled when its
        time is over. Cancelled, it ends what it started, then raises the cancellation.
        """
        options = StopOptions(
            shutdown,
            spare,
            None if shutdown is None else caller_here(),
            idle_timeout,
            max_lifetime,
        )
        start = self._start(session_id, cmd, tool, options, popen)
        try:
            return await loops.do(start.run)
        except BaseException:
            await loops.do(start.undo)
            raise

    def stop_agent(self, session_id: str) -> StopResult:
        """Stop a session: ask its tree, wait for the grace, use force, verify that all have ended.

        A session that this manager does not know is looked for in the folder.
        Its record leads to its tree, even if its owner lives.
        A second stop of a session forces it at once; both return the same result.
        An interrupt (Ctrl-C) forces it as well, and is raised when the session has ended.

        Returns:
            The result; a survivor raises nothing, nor does an id that is no session's (``method``
            is ``"not_found"``). This manager remembers the last 1,024 sessions that
            have ended: another stop of them is a success, ``"nothing_to_stop"``.

        Raises:
            SessionError: the id is not valid, or this process is a fork.
        """
        stop = self._stop(session_id)
        return self._absent(session_id) if stop is None else threads.run(stop)

    async def astop_agent(self, session_id: str) -> StopResult:
        """Like :meth:`stop_agent`, awaited.

        Cancelled, it forces at once, finishes, then raises the cancellation.
        """
        stop = self._stop(session_id)
        return self._absent(session_id) if stop is None else await loops.run(stop)

    def stop_all(self) -> dict[str, StopResult]:
        """Stop all sessions of this manager at the same time.

        Returns:
            The result of each session, by its id.

        Raises:
            SessionError: this process is a fork.
        """
        return _by_id(threads.run(self._stops(self._registry.sessions())))

    async def astop_all(self) -> dict[str, StopResult]:
        """Like :meth:`stop_all`, awaited.

        Cancelled, it forces at once, finishes, then raises the cancellation.
        """
        return _by_id(await loops.run(self._stops(self._registry.sessions())))

    def usage(self, session_id: str) -> Usage:
        """Return what the tree of a session used so far, as far as known.

        After its end ``session.result.kill.usage`` has it.

        Raises:
            SessionError: this manager has no running session of this id, or this process is a fork.
        """
        self._refuse_forked(session_id)
        session = self._registry.sessions().get(session_id)
        if session is None or session.process is None:
            raise SessionError(session_id, "not found among the sessions that run here")
        return session.process.usage()

    def recover(self, *, dry_run: bool = False, bare: bool = False) -> RecoveryReport:
        """End what dead owners left, as :func:`recover` does in the folder, and broadcast it.

        The options, the result and the exceptions are those of :func:`recover`.

        Raises:
            SessionError: this process is a fork.
        """
        return self._announced(threads.run(self._recovery(dry_run=dry_run, bare=bare)))

    async def arecover(self, *, dry_run: bool = False, bare: bool = False) -> RecoveryReport:
        """Like :meth:`recover`, awaited."""
        return self._announced(await loops.run(self._recovery(dry_run=dry_run, bare=bare)))

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(self, *_: object) -> None:
        if os.getpid() != self._owner:  # a fork must not stop its parent's sessions
            return
        try:
            threads.run(self._stops(self._registry.close()))
        finally:
            self._queue.close()
            if caller_here() is None:  # a loop here could not run its coroutines meanwhile
                self._queue.flush(FLUSH)

    async def __aenter__(self) -> Self:
        self._enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        if os.getpid() != self._owner:
            return
        try:
            await loops.run(self._stops(self._registry.close()))
        finally:
            self._queue.close()
            await loops.do(lambda: self._queue.flush(FLUSH))

    def _enter(self) -> None:
        self._refuse_forked()
        self._queue.loop = caller_here()
        self._queue.open()
        self._registry.open()

    def _start(
        self,
        session_id: str,
        cmd: Command,
        tool: str,
        options: StopOptions,
        popen: Mapping[str, Any],
    ) -> SessionStart:
        self._refuse_forked(session_id)
        check_names("spawn_agent", popen, AGENT_OPTIONS)
        if not cmd and not isinstance(cmd, str | bytes):  # the system refuses empty text
            text = f"cmd is {cmd!r}, expected a program and its arguments"
            raise ValueError(text)
        session = self._registry.new(session_id, tool, options)
        return SessionStart(self._registry, session, cmd, popen)

    def _stop(self, session_id: str) -> SessionStop | None:
        self._refuse_forked(session_id)
        session = self._registry.find(session_id)
        return None if session is None else SessionStop(session, self._registry)

    def _absent(self, session_id: str) -> StopResult:
        ended = self._registry.has_ended(session_id)
        return nothing_to_stop(session_id, ENDED) if ended else not_found(session_id)

    def _stops(self, sessions: Mapping[str, ManagedSession]) -> Parallel[StopResult]:
        self._refuse_forked()
        return Parallel([SessionStop(session, self._registry) for session in sessions.values()])

    def _recovery(self, *, dry_run: bool, bare: bool) -> Recovery:
        self._refuse_forked()
        return Recovery(self._registry.folder, self._registry.policy, dry_run=dry_run, bare=bare)

    def _announced(self, report: RecoveryReport) -> RecoveryReport:
        for outcome in report.outcomes if not report.dry_run else ():
            if outcome.fate in OVER:
                self._registry.note_ended(outcome.session_id)
            kind: EventKind
            if outcome.fate is RecordFate.ENDED:
                kind, state, error = "recovered", SessionState.STOPPED, None
            elif outcome.fate is RecordFate.SURVIVED:
                kind, state = "stop_failed", SessionState.FAILED
                error = outcome.kill.summary() if outcome.kill else outcome.detail
            else:
                continue
            self._registry.send(
                outcome.session_id,
                outcome.tool or DEFAULT_TOOL,
                kind,
                state,
                outcome.pid,
                method="recovered_record",
                error=error,
            )
        return report

    def _refuse_forked(self, session_id: str | None = None) -> None:
        if os.getpid() != self._owner:
            reason = f"it belongs to process {self._owner}, of which this is a fork; make another"
            raise SessionError(session_id if isinstance(session_id, str) else None, reason)

    def __repr__(self) -> str:
        count = len(self._registry.sessions())
        return f"<SessionManager of {self._registry.folder}: {count} sessions>"


def _by_id(results: list[StopResult]) -> dict[str, StopResult]:
    return {result.session_id: result for result in results}
