"""The part of a fleet in the scheduler: it knows which session is where, and asks the workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from .._models.errors import FleetError, SessionError, UnreachableError
from .._records.format import check_id
from .._sessions.models import EventKind, SessionEvent, SessionState, StopMethod, StopResult
from .._sessions.stop import not_found, nothing_to_stop
from .engine import (
    NAME,
    NO_FLEET,
    Call,
    Scheduler,
    SchedulerPlugin,
    Settings,
    answer,
    ask,
    dumps,
    within,
)
from .models import FleetEvent, FleetRecovery, FleetSession, HostRecovery, unreachable
from .table import Entry, SessionTable
from .worker import WorkerSessions


class SchedulerSessions(SchedulerPlugin):
    """Holds the table of the sessions. It runs in the scheduler's event loop only."""

    name = NAME
    idempotent = True  # the first client decides

    def __init__(self, settings: Settings) -> None:
        """Note the settings; this object travels to the scheduler."""
        self._settings = settings

    async def start(self, scheduler: Scheduler) -> None:
        """Set the workers up, without waiting for them."""
        # No await before the handler is there: another client may register the same plugin.
        self._scheduler = scheduler
        self._table = SessionTable()
        self._starts: dict[str, asyncio.Event] = {}
        self._heard: dict[str, int] = {}  # the number of the last event of each worker process
        self._calls: dict[str, Call] = {
            "join": self._join,
            "listen": self._listen,
            "spawn": self._spawn,
            "stop": self._stop,
            "stop_all": self._stop_all,
            "sessions": self._sessions,
            "recover": self._recover,
            "usage": partial(self._ask_session, "usage"),
            "touch": partial(self._ask_session, "touch"),
            "losses": self._losses,
            "ready": self._ready,
            "recovered": self._recovered,
            "leave": self._leave,
            "claim": self._claim,
            "release": self._release,
            "event": self._event,
        }
        scheduler.handlers[NAME] = self.handle
        scheduler.set_metadata([NAME], value=True)
        plugin = dumps(WorkerSessions(self._settings))
        self._setup = asyncio.ensure_future(
            scheduler.register_worker_plugin(None, plugin, NAME, idempotent=False)
        )

    async def handle(self, call: str, data: bytes) -> bytes:
        """Do what a client or a worker asks."""
        return await answer(self._calls, call, data)

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: object) -> None:
        """Tell of the sessions that are lost with a worker process."""
        del scheduler
        self._heard.pop(worker, None)
        for session in self._table.lose(worker):
            reason = f"its worker process {worker} was lost"
            self._publish_of(session, "lost", SessionState.LOST, error=reason)

    def valid_workers_downscaling(
        self, scheduler: Scheduler, workers: Collection[Any]
    ) -> list[Any]:
        """Keep the worker processes that have sessions."""
        del scheduler
        return [worker for worker in workers if not self._table.is_busy(worker.address)]

    async def _join(self, deadline: float) -> Settings:
        # A worker that is stopped does not keep the others from being used.
        done, _ = await asyncio.wait({self._setup}, timeout=deadline)
        # It failed where a worker was lost meanwhile; its successor is set up when it joins.
        if done and not self._setup.exception() and not self._table.hosts:
            for worker, reply in self._setup.result().items():
                if reply.get("status") != "OK":
                    raise FleetError(worker, f"it cannot take sessions: {reply['exception_text']}")
        return self._settings

    async def _listen(self, client: str, deadline: float) -> None:
        del deadline  # no machine is asked
        self._scheduler.subscribe_topic(NAME, client)

    async def _spawn(
        self, session_id: str, tool: str, host: str | None, payload: bytes, deadline: float
    ) -> FleetSession:
        check_id(session_id)
        entry = self._table.reserve(session_id, tool, host)
        begun = self._starts[session_id] = asyncio.Event()
        worker, token = entry.session.worker, entry.token
        try:
            await self._ask(
                worker, deadline, "spawn", session_id=session_id, token=token, payload=payload
            )
        except UnreachableError as error:
            if entry.claimed:
                reason = f"{error.reason}; whether session {session_id!r} started is not known"
                raise UnreachableError(error.address, reason) from None
            self._table.release(session_id, token)
            raise
        except BaseException:
            self._table.release(session_id, token)
            raise
        finally:
            begun.set()
            if self._starts.get(session_id) is begun:  # else its id was taken again meanwhile
                del self._starts[session_id]
        return entry.session

    async def _stop(self, session_id: str, deadline: float) -> StopResult:
        check_id(session_id)
        if (begun := self._starts.get(session_id)) is not None:
            try:
                await within(begun.wait(), deadline)  # that of the start may be longer
            except TimeoutError:
                reason = f"its host did not answer within {deadline:g} s, and may start it yet"
                return unreachable(session_id, reason)
        entry = self._table.find(session_id)
        if entry is None:
            known = self._table.ended(session_id)
            return not_found(session_id) if known is None else nothing_to_stop(session_id, known)
        if entry.is_lost:
            return await self._stop_lost(entry, deadline)
        return await self._stop_on(entry.session.worker, session_id, deadline)

    async def _stop_on(self, worker: str, session_id: str, deadline: float) -> StopResult:
        limit = self._settings.stop_time + deadline
        try:
            result: StopResult = await self._ask(worker, limit, "stop", session_id=session_id)
        except UnreachableError as error:
            return unreachable(session_id, str(error))
        return result

    async def _stop_lost(self, entry: Entry, deadline: float) -> StopResult:
        session = entry.session
        try:
            worker = await self._answering(session.host, deadline)
        except UnreachableError as error:
            reason = f"its worker process {session.worker} was lost; {error}"
            return unreachable(session.session_id, reason)
        result = await self._stop_on(worker, session.session_id, deadline)
        # That worker process may know the id from a session of its own that has ended.
        is_gone = result.success and result.method == "nothing_to_stop"
        if not (is_gone or result.method == "not_found"):
            return result
        if self._table.find(session.session_id) is entry:
            self._end_lost(session)
        return nothing_to_stop(session.session_id, self._table.ended(session.session_id))

    async def _stop_all(self, deadline: float) -> dict[str, StopResult]:
        by_worker: dict[str, list[str]] = {}
        lost = []
        for entry in self._table.entries():
            session = entry.session
            if entry.is_lost:
                lost.append(session.session_id)
            else:
                by_worker.setdefault(session.worker, []).append(session.session_id)
        on_workers = await asyncio.gather(
            *(self._stop_worker(worker, ids, deadline) for worker, ids in by_worker.items())
        )
        of_lost = await asyncio.gather(*(self._stop(session_id, deadline) for session_id in lost))
        results = {result.session_id: result for result in of_lost}
        for found in on_workers:
            results |= found
        return results

    async def _stop_worker(
        self, worker: str, ids: list[str], deadline: float
    ) -> Mapping[str, StopResult]:
        limit = self._settings.stop_time + deadline
        try:
            results: dict[str, StopResult] = await self._ask(worker, limit, "stop_all")
        except UnreachableError as error:
            return {session_id: unreachable(session_id, str(error)) for session_id in ids}
        return results

    async def _sessions(self, deadline: float) -> dict[str, FleetSession]:
        del deadline  # no machine is asked
        return {session.session_id: session for session in self._table}

    async def _ask_session(self, call: str, session_id: str, deadline: float) -> object:
        check_id(session_id)
        entry = self._table.find(session_id)
        if entry is None:
            raise SessionError(session_id, "not found in the fleet")
        worker = entry.session.worker
        if entry.is_lost:
            raise UnreachableError(worker, f"it was lost with session {session_id!r}")
        return await self._ask(worker, deadline, call, session_id=session_id)

    async def _recover(self, deadline: float, **options: bool) -> FleetRecovery:
        lost = {entry.session.host for entry in self._table.entries() if entry.is_lost}
        hosts = sorted(lost.union(self._table.hosts.values()))
        found = await asyncio.gather(
            *(self._recover_host(host, deadline, options) for host in hosts)
        )
        return FleetRecovery(hosts=tuple(found))

    async def _recover_host(
        self,
        host: str,
        deadline: float,
        options: Mapping[str, bool],
    ) -> HostRecovery:
        limit = self._settings.stop_time + deadline
        try:
            worker = await self._answering(host, deadline)
            report = await self._ask(worker, limit, "recover", **options)
        except UnreachableError as error:
            return HostRecovery(host=host, outcome="unreachable", error=str(error))
        except Exception as error:  # noqa: BLE001 - of this host alone, such as a RecordError
            return HostRecovery(host=host, outcome="answered", error=str(error))
        return HostRecovery(host=host, outcome="answered", report=report)

    async def _answering(self, host: str, deadline: float) -> str:
        """Return the worker process of a machine that answers first; each could recover it."""
        pings = [self._ping(worker, deadline) for worker in self._table.on_host(host)]
        problem = UnreachableError(host, "it has no worker process")
        for ping in asyncio.as_completed(pings):
            found = await ping
            if isinstance(found, str):
                return found
            problem = found
        raise problem

    async def _ping(self, worker: str, deadline: float) -> str | UnreachableError:
        try:
            await self._ask(worker, deadline, "ping")
        except UnreachableError as error:
            return error
        return worker

    async def _losses(self, worker: str) -> int:
        del worker
        return self._table.losses

    async def _ready(self, worker: str, host: str, kept: list[str], losses: int) -> bool:
        for session in self._table.ready(worker, host, kept, losses):
            self._publish_end(session)
        return True

    async def _recovered(self, worker: str, host: str, kept: list[str], losses: int) -> bool:
        del worker  # it may leave by now
        for session in self._table.recovered(host, kept, losses):
            self._publish_end(session)
        return True

    async def _leave(self, worker: str) -> bool:
        self._table.leave(worker)
        return True

    async def _claim(self, worker: str, session_id: str, token: int) -> bool:
        self._table.silent.discard(worker)
        return self._table.claim(session_id, token, worker)

    async def _release(self, worker: str, session_id: str, token: int) -> bool:
        del worker
        self._table.release(session_id, token)
        return True

    async def _event(self, worker: str, host: str, number: int, event: SessionEvent) -> bool:
        if number <= self._heard.get(worker, number - 1):
            return True  # told again, since the answer did not arrive
        self._table.silent.discard(worker)
        self._heard[worker] = number
        self._table.apply(event, worker)
        self._publish(event, host, worker)
        return True

    def _end_lost(self, session: FleetSession) -> None:
        self._table.end(session.session_id)
        self._publish_end(session)

    def _publish_end(self, session: FleetSession) -> None:
        self._publish_of(session, "recovered", SessionState.STOPPED, method="nothing_to_stop")

    def _publish_of(
        self,
        session: FleetSession,
        kind: EventKind,
        state: SessionState,
        *,
        method: StopMethod | None = None,
        error: str | None = None,
    ) -> None:
        event = SessionEvent(
            event=f"{session.tool}.session.{kind}",
            session_id=session.session_id,
            tool=session.tool,
            state=state,
            pid=session.pid,
            method=method,
            error=error,
            at=time.time(),
        )
        self._publish(event, session.host, session.worker)

    def _publish(self, event: SessionEvent, host: str, worker: str) -> None:
        told = FleetEvent(**event.model_dump(), host=host, worker=worker)
        self._scheduler.log_event(NAME, told.model_dump(mode="json"))

    async def _ask(self, worker: str, seconds: float, call: str, **arguments: object) -> Any:  # noqa: ANN401 - as ask()
        try:
            reply = await ask(self._scheduler.rpc(worker), worker, seconds, call, **arguments)
        except UnreachableError:
            self._table.silent.add(worker)
            raise
        except FleetError as error:
            if error.reason != NO_FLEET:
                raise
            reason = "it leaves, and has stopped its sessions"
            raise UnreachableError(worker, reason) from None
        self._table.silent.discard(worker)
        return reply
