"""Fleet: sessions on many machines, as a client sees them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .._models.errors import FleetError, UnreachableError
from .._models.policy import KillPolicy, policy_or_default
from .._models.usage import Usage
from .._records.files import absolute
from .._records.format import DEFAULT_TOOL
from .._records.recover import check_choices
from .._running.loops import caller_here
from .._sessions.events import Broadcaster as AnyBroadcaster
from .._sessions.events import EventQueue
from .._sessions.models import StopResult
from .._sessions.registry import check_tool
from .engine import (
    ANSWER_TIME,
    NAME,
    NO_FLEET,
    SCHEDULER,
    Client,
    Remote,
    Settings,
    ask,
    dumps,
    within,
)
from .models import FleetEvent, FleetRecovery, FleetSession
from .scheduler import SchedulerSessions

if TYPE_CHECKING:
    from .._spawn.options import Command

_T = TypeVar("_T")

Broadcaster = Callable[[FleetEvent], object]

CLOSED = "the client is closed"
ELSEWHERE = "what this process has open is not open on another machine"
STREAMS = ("stdin", "stdout", "stderr")
_NO_POLICY = KillPolicy()


class Fleet:
    """Starts agents on the machines of a cluster, knows their sessions, and stops them.

    All clients of a cluster see the same fleet. Its parts in the scheduler and in the workers
    are set up at the first call; each worker process then ends what dead owners left on its
    machine. A session ends with its worker process, however that ends, but not with its client.

    The methods are for a plain client, their awaited twins for one that is ``asynchronous``.
    A machine that does not answer in time is an outcome, ``unreachable``: no call waits longer.
    """

    def __init__(
        self,
        client: Client,
        directory: str | os.PathLike[str] | None = None,
        *,
        policy: KillPolicy | None = None,
        event_broadcaster: Broadcaster | None = None,
        deadline: float = 10.0,
    ) -> None:
        """Take a client of the cluster; nothing is sent yet.

        Args:
            client: a ``distributed.Client``.
            directory: the folder of the records on each machine, as for :class:`SessionManager`;
                a network folder is not shared by it. Default: that of the fleet that is there.
            policy: how sessions are stopped; default that of the fleet that is there, else
                ``KillPolicy()``.
            event_broadcaster: called with each :class:`FleetEvent` from the first call on, in
                order for each session, as that of a :class:`SessionManager`; default none.
                A client has one: that of its last fleet.
            deadline: the seconds that a machine has to answer; default 10. A stop has the grace
                and the settle time of the policy besides, and as long again to find the machine;
                the scheduler has 10 seconds more.

        Raises:
            TypeError, ValueError: an argument is wrong.
        """
        if not callable(getattr(client, "register_plugin", None)):
            text = f"client is {client!r}, expected a distributed.Client"
            raise TypeError(text)
        if isinstance(deadline, bool) or not isinstance(deadline, int | float):
            text = f"deadline is {deadline!r}, expected seconds"
            raise TypeError(text)
        if not 0 < deadline <= sys.float_info.max:  # an int may be more
            text = f"deadline is {deadline!r}, expected seconds, more than 0"
            raise ValueError(text)
        self._client = client
        self._directory = None if directory is None else str(absolute("directory", directory))
        self._policy = None if policy is None else policy_or_default(policy).but(include_root=True)
        self._deadline = deadline
        self._queue: EventQueue | None = None
        if event_broadcaster is not None:
            self._queue = EventQueue(cast("AnyBroadcaster", event_broadcaster))
            weakref.finalize(self, self._queue.close)
        self._settings: Settings | None = None
        self._joining = asyncio.Lock()

    def spawn_agent(
        self,
        session_id: str,
        cmd: Command,
        *,
        host: str | None = None,
        tool: str = DEFAULT_TOOL,
        **options: Any,
    ) -> FleetSession:
        """Start an agent on a machine, as :meth:`SessionManager.spawn_agent` does there.

        The id is taken in the whole fleet before the agent starts. A start is never tried twice.
        An interrupt (Ctrl-C) does not undo it.

        Args:
            session_id: up to 128 letters, digits, dots, underscores and dashes.
            cmd: the program and its arguments.
            host: the name of a machine, or the address of a worker process; default the one with
                the fewest sessions.
            tool: the kind of agent, the first word of its events; default ``"mcp"``.
            options: as for :meth:`SessionManager.spawn_agent`. They travel by pickle; a
                ``shutdown`` is a coroutine function and runs in the worker process.

        Returns:
            The session; its record is on the disk of its machine.

        Raises:
            SessionError: the id is not valid, or in use in the fleet.
            UnreachableError: the machine did not answer in time; it says what is known.
            FleetError: no such machine is ready, or the cluster has another fleet.
            ValueError: a pipe, a file or a descriptor is asked for, which mean nothing there.
            TypeError, OSError, RecordError, ContainmentError: as there.
        """
        return self._run(self._spawn, session_id, cmd, host, tool, options)

    async def aspawn_agent(
        self,
        session_id: str,
        cmd: Command,
        *,
        host: str | None = None,
        tool: str = DEFAULT_TOOL,
        **options: Any,
    ) -> FleetSession:
        """Like :meth:`spawn_agent`, awaited. A cancellation does not undo it."""
        return await self._await(self._spawn, session_id, cmd, host, tool, options)

    def stop_agent(self, session_id: str) -> StopResult:
        """Stop a session on its machine, as :meth:`SessionManager.stop_agent` does there.

        A second stop of a session forces it at once, also from another client.

        Returns:
            The result. ``method`` is ``"unreachable"`` where the machine did not answer in time.

        Raises:
            SessionError: the id is not valid.
            FleetError: the scheduler did not answer, or has no fleet.
        """
        return self._run(self._stop, session_id)

    async def astop_agent(self, session_id: str) -> StopResult:
        """Like :meth:`stop_agent`, awaited. Cancelled, the stop goes on."""
        return await self._await(self._stop, session_id)

    def stop_all(self) -> dict[str, StopResult]:
        """Stop all sessions of the fleet at the same time, those of other clients too.

        Returns:
            The result of each session, by its id.

        Raises:
            FleetError: the scheduler did not answer, or has no fleet.
        """
        return self._run(self._stop_all)

    async def astop_all(self) -> dict[str, StopResult]:
        """Like :meth:`stop_all`, awaited. Cancelled, the stops go on."""
        return await self._await(self._stop_all)

    def sessions(self) -> dict[str, FleetSession]:
        """Return the current sessions of all machines, by their ids. No machine is asked.

        Raises:
            FleetError: the scheduler did not answer, or has no fleet.
        """
        return self._run(self._sessions)

    async def asessions(self) -> dict[str, FleetSession]:
        """Like :meth:`sessions`, awaited."""
        return await self._await(self._sessions)

    def usage(self, session_id: str) -> Usage:
        """Return what the tree of a session used so far, as :meth:`SessionManager.usage` does.

        Raises:
            SessionError: the id is not valid, or no running session has it.
            UnreachableError: its machine did not answer in time, or is lost.
            FleetError: the scheduler did not answer, or has no fleet.
        """
        return self._run(self._usage, session_id)

    async def ausage(self, session_id: str) -> Usage:
        """Like :meth:`usage`, awaited."""
        return await self._await(self._usage, session_id)

    def touch(self, session_id: str) -> None:
        """Note activity of a session, so that its ``idle_timeout`` begins anew.

        As :meth:`Session.touch` does there, for each message from or to the agent.

        Raises:
            SessionError, UnreachableError, FleetError: as for :meth:`usage`.
        """
        self._run(self._touch, session_id)

    async def atouch(self, session_id: str) -> None:
        """Like :meth:`touch`, awaited."""
        await self._await(self._touch, session_id)

    def recover(self, *, dry_run: bool = False, bare: bool = False) -> FleetRecovery:
        """End what dead owners left on each machine, as :meth:`SessionManager.recover` does there.

        Args:
            dry_run: whether to only say what would become of each record; default False.
            bare: whether to use files that hold only a pid, as there; default False.

        Raises:
            TypeError: an argument is no bool; nothing was touched.
            FleetError: the scheduler did not answer, or has no fleet.
        """
        return self._run(self._recover, dry_run, bare)

    async def arecover(self, *, dry_run: bool = False, bare: bool = False) -> FleetRecovery:
        """Like :meth:`recover`, awaited."""
        return await self._await(self._recover, dry_run, bare)

    async def _spawn(
        self, session_id: str, cmd: Command, host: str | None, tool: str, options: dict[str, Any]
    ) -> FleetSession:
        check_tool(session_id, tool)
        for name in STREAMS:
            if options.get(name) not in (None, subprocess.DEVNULL, subprocess.STDOUT):
                text = f"{name} is {options[name]!r}, expected None, DEVNULL or STDOUT: {ELSEWHERE}"
                raise ValueError(text)
        if options.get("pass_fds"):
            text = (
                "pass_fds cannot be used: what this process has open is not open on another machine"
            )
            raise ValueError(text)
        payload = dumps((cmd, {"tool": tool, **options}))
        session: FleetSession = await self._ask(
            *("spawn", 0.0), session_id=session_id, tool=tool, host=host, payload=payload
        )
        return session

    async def _stop(self, session_id: str) -> StopResult:
        settings = await self._join()
        # It may wait for a start under way, and for another worker process of a lost session.
        seconds = settings.stop_time + self._deadline
        result: StopResult = await self._ask("stop", seconds, session_id=session_id)
        return result

    async def _stop_all(self) -> dict[str, StopResult]:
        settings = await self._join()
        # The lost sessions are stopped after the others, by a worker process that is sought first.
        seconds = 2 * (settings.stop_time + self._deadline)
        results: dict[str, StopResult] = await self._ask("stop_all", seconds)
        return results

    async def _sessions(self) -> dict[str, FleetSession]:
        sessions: dict[str, FleetSession] = await self._ask("sessions", 0.0)
        return sessions

    async def _usage(self, session_id: str) -> Usage:
        usage: Usage = await self._ask("usage", 0.0, session_id=session_id)
        return usage

    async def _touch(self, session_id: str) -> None:
        await self._ask("touch", 0.0, session_id=session_id)

    async def _recover(self, dry_run: bool, bare: bool) -> FleetRecovery:  # noqa: FBT001 - passed on
        check_choices(dry_run=dry_run, bare=bare)
        settings = await self._join()
        seconds = settings.stop_time + self._deadline  # a machine is sought, then asked
        found: FleetRecovery = await self._ask("recover", seconds, dry_run=dry_run, bare=bare)
        return found

    async def _join(self) -> Settings:
        """Set the fleet up, or find the one that is there."""
        async with self._joining:
            if self._settings is not None:
                return self._settings
            if self._directory is not None:
                settings = Settings(self._directory, self._policy or _NO_POLICY)
                plugin = SchedulerSessions(settings)
                await self._answered(self._client.register_plugin(plugin, name=NAME))
            # distributed logs a traceback for a call that nothing handles.
            elif not await self._answered(self._client.get_metadata(NAME, default=False)):
                raise FleetError(SCHEDULER, NO_FLEET)
            found: Settings = await self._send("join", 0.0)
            self._check(found)
            if self._queue is not None:
                self._subscribe(self._queue)
                # That travels on a connection of its own, and may come after the call.
                await self._send("listen", 0.0, client=self._client.id)
            self._settings = found
            return found

    async def _answered(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await within(work, ANSWER_TIME)
        except (OSError, TimeoutError) as error:
            reason = f"it did not answer: {error!r}"
            raise UnreachableError(SCHEDULER, reason) from error

    def _check(self, found: Settings) -> None:
        wanted = (("directory", self._directory), ("policy", self._policy))
        for name, value in wanted:
            if value is not None and value != getattr(found, name):
                reason = f"its fleet has the {name} {getattr(found, name)!r}, not {value!r}"
                raise FleetError(SCHEDULER, reason)

    def _subscribe(self, queue: EventQueue) -> None:
        # A plain client runs its loop in a thread of its own, which must not run the user's code.
        queue.loop = caller_here() if self._is_awaited() else None
        self._client.subscribe_topic(
            NAME, lambda told: queue.send(FleetEvent.model_validate(told[1]))
        )

    async def _ask(self, call: str, more: float, **arguments: object) -> Any:  # noqa: ANN401 - as ask()
        await self._join()
        try:
            return await self._send(call, more, **arguments)
        except FleetError as error:
            if (error.address, error.reason) != (SCHEDULER, NO_FLEET):
                raise
        self._settings = None  # it is another scheduler, and has done nothing
        await self._join()
        return await self._send(call, more, **arguments)

    async def _send(self, call: str, more: float, **arguments: object) -> Any:  # noqa: ANN401 - as ask()
        scheduler = cast("Remote | None", self._client.scheduler)
        if scheduler is None:
            raise UnreachableError(SCHEDULER, CLOSED)
        deadline = self._deadline
        seconds = deadline + more + ANSWER_TIME  # the scheduler waits for a machine, we for both
        return await ask(scheduler, SCHEDULER, seconds, call, deadline=deadline, **arguments)

    def _is_awaited(self) -> bool:
        return bool(getattr(self._client, "_asynchronous", False))

    def _run(self, call: Callable[..., Coroutine[Any, Any, _T]], *arguments: object) -> _T:
        if self._client.asynchronous:
            text = "the client is asynchronous: use the awaited twin, whose name begins with a"
            raise RuntimeError(text)
        if self._client.scheduler is None:  # its event loop is closed as well
            raise UnreachableError(SCHEDULER, CLOSED)
        return cast("_T", self._client.sync(call, *arguments))

    async def _await(self, call: Callable[..., Coroutine[Any, Any, _T]], *arguments: object) -> _T:
        if not self._client.asynchronous:
            text = "the client belongs to no event loop here: make it with asynchronous=True"
            raise RuntimeError(text)
        return await call(*arguments)
