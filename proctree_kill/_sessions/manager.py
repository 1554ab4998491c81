"""SessionManager: agents that are started, recorded, watched and stopped."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from .._models.errors import SessionError
from .._models.policy import KillPolicy
from .._records.format import DEFAULT_TOOL
from .._records.recover import Recovery
from .._records.report import RecordFate, RecoveryReport
from .._running import loops, threads
from .._running.loops import runner_here
from .._running.threads import Parallel
from .agent import Agent, Session
from .events import Broadcaster, EventQueue
from .models import SessionState, StopResult
from .registry import Registry
from .start import SessionStart
from .stop import SessionStop, nothing

if TYPE_CHECKING:
    from typing import Unpack

    from .._spawn.options import AgentOptions, Command

FLUSH = 1.0
"""Seconds that leaving a manager waits for its broadcaster."""


class SessionManager:
    """Starts agents, knows them, and stops them: each with everything that it started.

    What is started is written down in a folder before it runs, so that a stop finds it
    and :meth:`recover` ends it even if this process has crashed in between.
    An agent that leaves by itself is noticed, and whoever it left behind is ended.
    Leaving the ``with`` block stops all sessions.

    Every method may be called from any thread, and those that begin with ``a`` from an event loop.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        policy: KillPolicy | None = None,
        event_broadcaster: Broadcaster | None = None,
        guard: bool = True,
    ) -> None:
        """Say where sessions are written down; nothing is read or made yet.

        Args:
            directory: the folder of the records, made with mode 0700 for the first session;
                a relative one is below the current directory of this moment.
            policy: how sessions are stopped; default ``KillPolicy()``.
            event_broadcaster: called with each :class:`SessionEvent`, in order, from one thread;
                a coroutine function runs on the event loop where the manager was entered.
            guard: whether the sessions end when this process dies, however that is: by a small
                process, the guard, on Windows by job objects;
                where no guard is to be had (a frozen program) that is logged,
                and the records alone remember them.

        Raises:
            TypeError: the broadcaster cannot be called.
        """
        policy = (policy or KillPolicy()).but(include_root=True)
        self._queue = EventQueue(event_broadcaster)
        self._registry = Registry(Path(directory).absolute(), policy, self._queue, guarded=guard)
        self._owner = os.getpid()
        weakref.finalize(self, self._queue.close)

    @property
    def directory(self) -> Path:
        """Return the folder of the records, as an absolute path."""
        return self._registry.folder

    @property
    def sessions(self) -> Mapping[str, Session]:
        """Return the sessions that are there now, by their ids; those that are over have left.

        Raises:
            SessionError: this is a forked child of the process that made the manager.
        """
        self._refuse_forked()
        agents = self._registry.agents()
        return MappingProxyType({name: Session(one) for name, one in agents.items()})

    def spawn_agent(
        self,
        session_id: str,
        cmd: Command,
        *,
        tool: str = DEFAULT_TOOL,
        **popen: Unpack[AgentOptions],
    ) -> Session:
        """Start an agent, as :class:`TreePopen` does.

        An interrupt (Ctrl-C) ends what was started, and is raised then.

        Args:
            session_id: up to 128 letters, digits, dots, underscores and dashes.
            cmd: the program and its arguments.
            tool: what kind of agent it is, the first word of its events.
            popen: everything else that :class:`TreePopen` takes.

        Returns:
            The session, whose record is on disk.

        Raises:
            SessionError: that is no id, the session is there already, the manager was left,
                or this is a forked child.
            RecordError: the record cannot be written, or the id has one; no process is left.
            OSError, ValueError, subprocess.SubprocessError, ContainmentError:
                as for :class:`TreePopen`.
        """
        start = self._start(session_id, cmd, tool, popen)
        try:
            return threads.do(start.run)
        except BaseException:
            threads.do(start.undo)
            raise

    async def aspawn_agent(
        self,
        session_id: str,
        cmd: Command,
        *,
        tool: str = DEFAULT_TOOL,
        **popen: Unpack[AgentOptions],
    ) -> Session:
        """Do what :meth:`spawn_agent` does, without blocking the event loop.

        Cancelled, it ends what it started, and lets the cancellation through.

        Args:
            session_id: as for :meth:`spawn_agent`.
            cmd: as for :meth:`spawn_agent`.
            tool: as for :meth:`spawn_agent`.
            popen: as for :meth:`spawn_agent`.

        Returns:
            As :meth:`spawn_agent`.

        Raises:
            SessionError, RecordError: as for :meth:`spawn_agent`.
            OSError, ValueError, subprocess.SubprocessError, ContainmentError:
                as for :class:`TreePopen`.
        """
        start = self._start(session_id, cmd, tool, popen)
        try:
            return await loops.do(start.run)
        except BaseException:
            await loops.do(start.undo)
            raise

    def stop_agent(self, session_id: str) -> StopResult:
        """Stop a session: ask its tree, wait for the grace, use force, see that nobody is left.

        A session that this manager does not know is looked for in the folder, and ended by its
        record whoever its owner is.
        A second stop of a session forces it at once; both return the same result.
        An interrupt (Ctrl-C) forces as well, and is raised when the session is over.

        Args:
            session_id: which.

        Returns:
            What came of it; a survivor is a value, and so is a session that is not there.

        Raises:
            SessionError: that is no id, or this is a forked child.
        """
        agent = self._find(session_id)
        if agent is None:
            return _unknown(session_id)
        return threads.run(SessionStop(agent, self._registry))

    async def astop_agent(self, session_id: str) -> StopResult:
        """Do what :meth:`stop_agent` does, without blocking the event loop.

        Cancelled, it forces at once, finishes, and lets the cancellation through.

        Args:
            session_id: as for :meth:`stop_agent`.

        Returns:
            As :meth:`stop_agent`.

        Raises:
            SessionError: as for :meth:`stop_agent`.
        """
        agent = self._find(session_id)
        if agent is None:
            return _unknown(session_id)
        return await loops.run(SessionStop(agent, self._registry))

    def stop_all(self) -> dict[str, StopResult]:
        """Stop all sessions of this manager at the same time: many take no longer than one.

        Returns:
            What came of each, by its id.

        Raises:
            SessionError: this is a forked child.
        """
        return self._name(threads.run(self._stops(self._registry.agents())))

    async def astop_all(self) -> dict[str, StopResult]:
        """Do what :meth:`stop_all` does, without blocking the event loop.

        Cancelled, it forces at once, finishes, and lets the cancellation through.

        Returns:
            As :meth:`stop_all`.

        Raises:
            SessionError: as for :meth:`stop_all`.
        """
        return self._name(await loops.run(self._stops(self._registry.agents())))

    def recover(self, *, dry_run: bool = False, bare: bool = False) -> RecoveryReport:
        """End what dead owners left behind in the folder, as :func:`recover` does, and tell of it.

        Args:
            dry_run: as for :func:`recover`.
            bare: as for :func:`recover`.

        Returns:
            As :func:`recover`.

        Raises:
            RecordError: as for :func:`recover`.
            SessionError: this is a forked child.
        """
        return self._told(threads.run(self._recovery(dry_run=dry_run, bare=bare)))

    async def arecover(self, *, dry_run: bool = False, bare: bool = False) -> RecoveryReport:
        """Do what :meth:`recover` does, without blocking the event loop.

        Args:
            dry_run: as for :func:`recover`.
            bare: as for :func:`recover`.

        Returns:
            As :func:`recover`.

        Raises:
            RecordError: as for :func:`recover`.
            SessionError: this is a forked child.
        """
        return self._told(await loops.run(self._recovery(dry_run=dry_run, bare=bare)))

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(self, *_: object) -> None:
        if os.getpid() != self._owner:  # the sessions of a forked child's parent are not its own
            return
        try:
            threads.run(self._stops(self._registry.close()))
        finally:
            self._queue.close()
            if runner_here() is None:  # else the loop could not run its coroutines meanwhile
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
        """Begin, on the event loop that runs here if there is one."""
        self._refuse_forked()
        self._queue.runner = runner_here()
        self._queue.open()
        self._registry.open()

    def _start(
        self,
        session_id: str,
        cmd: Command,
        tool: str,
        popen: AgentOptions,
    ) -> SessionStart:
        """Reserve a session and return the work that starts it."""
        self._refuse_forked(session_id)
        agent = self._registry.new(session_id, tool)
        return SessionStart(self._registry, agent, cmd, popen)

    def _find(self, session_id: str) -> Agent | None:
        """Return a session."""
        self._refuse_forked(session_id)
        return self._registry.find(session_id)

    def _stops(self, agents: Mapping[str, Agent]) -> Parallel[StopResult]:
        """Return the work that stops these."""
        self._refuse_forked()
        return Parallel([SessionStop(one, self._registry) for one in agents.values()])

    def _name(self, results: list[StopResult]) -> dict[str, StopResult]:
        """Return results by their sessions."""
        return {one.session_id: one for one in results}

    def _recovery(self, *, dry_run: bool, bare: bool) -> Recovery:
        """Return the work that recovers the folder."""
        self._refuse_forked()
        return Recovery(self._registry.folder, self._registry.policy, dry_run=dry_run, bare=bare)

    def _told(self, report: RecoveryReport) -> RecoveryReport:
        """Broadcast whose trees a recovery ended."""
        for one in report.outcomes if not report.dry_run else ():
            tool = one.tool or DEFAULT_TOOL
            if one.fate is RecordFate.REAPED:
                self._registry.announce(
                    one.session_id,
                    tool,
                    "recovered",
                    SessionState.STOPPED,
                    one.pid,
                    method="recovered_record",
                )
            elif one.fate is RecordFate.SURVIVED:
                self._registry.announce(
                    one.session_id,
                    tool,
                    "stop_failed",
                    SessionState.FAILED,
                    one.pid,
                    method="recovered_record",
                    error=one.kill.summary() if one.kill else one.detail,
                )
        return report

    def _refuse_forked(self, session_id: str | None = None) -> None:
        """Refuse a forked child: the agents are its parent's.

        Raises:
            SessionError: this is one.
        """
        if os.getpid() != self._owner:
            reason = f"it belongs to process {self._owner}, of which this is a fork; make another"
            raise SessionError(session_id if isinstance(session_id, str) else None, reason)

    def __repr__(self) -> str:
        return (
            f"<SessionManager of {self._registry.folder}: {len(self._registry.agents())} sessions>"
        )


def _unknown(session_id: str) -> StopResult:
    """Say that a session is not there."""
    return nothing(session_id, "it is not known, and has no record")
