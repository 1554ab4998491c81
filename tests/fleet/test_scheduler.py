"""Seam: the scheduler's part with a fake scheduler, whose workers answer what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proctree_kill import KillPolicy, StopResult
from proctree_kill._sessions.stop import nothing_to_stop
from proctree_kill.errors import FleetError, RecordError, SessionError, UnreachableError
from proctree_kill.fleet.engine import NAME, Settings, answer, ask, dumps, loads, within
from proctree_kill.fleet.scheduler import SchedulerSessions
from proctree_kill.fleet.worker import WorkerSessions
from support.fleets import SLEEP
from support.times import BOUND, LONG

WORKER = "tcp://a:1"
MOMENT = 0.01  # seconds of a deadline that passes in full
Answer = Callable[..., Coroutine[Any, Any, object]]


class Remote:
    """A process that answers calls."""

    def __init__(self, handle: Callable[[str, bytes], Coroutine[Any, Any, bytes | None]]) -> None:
        self._handle = handle

    async def proctree_kill_fleet(self, *, call: str, data: bytes) -> bytes | None:
        return await self._handle(call, data)


class Scheduler:
    """What a plugin uses of a scheduler; its one worker answers these calls."""

    def __init__(self, **calls: Answer) -> None:
        self.handlers: dict[str, Any] = {}
        self.events: list[Any] = []
        self.rpc = lambda _: Remote(lambda call, data: answer(calls, call, data))
        self.setups: dict[str, Mapping[str, Any]] = {}

    def subscribe_topic(self, topic: str, client: str) -> None: ...

    def set_metadata(self, keys: list[str], value: object) -> None: ...

    def log_event(self, _topic: str, msg: object) -> None:
        self.events.append(msg)

    async def register_worker_plugin(
        self,
        comm: None,
        plugin: bytes,
        name: str,
        *,
        idempotent: bool,
    ) -> Mapping[str, Mapping[str, Any]]:
        del comm, plugin, name, idempotent
        return self.setups

    async def begin(self) -> None:
        """Start the plugin, with a worker that is ready."""
        await SchedulerSessions(Settings("/records", KillPolicy(grace=0, settle=0))).start(self)
        await self.ask("ready", worker=WORKER, host="a", kept=[], losses=0)

    async def ask(self, call: str, **arguments: object) -> Any:  # noqa: ANN401 - any value travels
        return await ask(Remote(self.handlers[NAME]), "the scheduler", BOUND, call, **arguments)


def spawn(
    scheduler: Scheduler, deadline: float = MOMENT, payload: bytes = b""
) -> Coroutine[Any, Any, Any]:
    return scheduler.ask(
        "spawn", session_id="s", tool="mcp", host=None, payload=payload, deadline=deadline
    )


async def silent(**_: object) -> None:
    await asyncio.sleep(LONG)


def test_a_start_that_was_claimed_and_then_not_answered_keeps_its_id() -> None:
    async def scene() -> None:
        async def claimed(session_id: str, token: int, payload: bytes) -> None:
            del payload
            assert await scheduler.ask("claim", worker=WORKER, session_id=session_id, token=token)
            await silent()

        scheduler = Scheduler(spawn=claimed)
        await scheduler.begin()
        with pytest.raises(UnreachableError, match="whether session 's' started is not known"):
            await spawn(scheduler)
        with pytest.raises(SessionError, match="starting on a"):
            await spawn(scheduler)

    asyncio.run(scene())


def test_a_stop_waits_for_a_start_no_longer_than_its_own_deadline() -> None:
    async def scene() -> None:
        begun = asyncio.Event()

        async def slow(**_: object) -> None:
            begun.set()
            await silent()

        scheduler = Scheduler(spawn=slow)
        await scheduler.begin()
        start = asyncio.ensure_future(spawn(scheduler, LONG))
        await begun.wait()
        stop = await scheduler.ask("stop", session_id="s", deadline=MOMENT)
        assert (stop.success, stop.method) == (False, "unreachable")
        start.cancel()

    asyncio.run(scene())


def test_a_worker_that_is_lost_during_its_setup_is_no_error() -> None:
    async def scene() -> None:
        async def broken(*_: object, **__: object) -> Mapping[str, Mapping[str, Any]]:
            raise ConnectionResetError

        scheduler = Scheduler()
        scheduler.register_worker_plugin = broken  # type: ignore[method-assign] # its connection breaks
        settings = Settings("/records", KillPolicy())
        await SchedulerSessions(settings).start(scheduler)
        assert await scheduler.ask("join", deadline=BOUND) == settings
        assert await scheduler.ask("sessions", deadline=BOUND) == {}

    asyncio.run(scene())


def test_a_start_that_was_not_claimed_frees_its_id() -> None:
    async def scene() -> None:
        scheduler = Scheduler(spawn=silent)
        await scheduler.begin()
        for _ in range(2):
            with pytest.raises(UnreachableError, match=f"{WORKER}: it did not answer within"):
                await spawn(scheduler)
        assert await scheduler.ask("sessions", deadline=MOMENT) == {}

    asyncio.run(scene())


def test_an_id_is_taken_again_before_the_failed_start_has_returned() -> None:
    async def scene() -> None:
        freed, failed, second_begun, go_on = (asyncio.Event() for _ in range(4))

        async def start(session_id: str, token: int, payload: bytes) -> None:
            del payload
            if freed.is_set():
                second_begun.set()
                await go_on.wait()
                return
            await scheduler.ask("release", worker=WORKER, session_id=session_id, token=token)
            freed.set()
            await failed.wait()
            raise FileNotFoundError

        scheduler = Scheduler(spawn=start)
        await scheduler.begin()
        first = asyncio.ensure_future(spawn(scheduler, BOUND))
        await freed.wait()
        second = asyncio.ensure_future(spawn(scheduler, BOUND))
        await second_begun.wait()
        failed.set()
        with pytest.raises(FileNotFoundError):
            await first
        go_on.set()
        assert (await second).session_id == "s"

    asyncio.run(scene())


def test_a_worker_that_speaks_again_gets_agents_again() -> None:
    async def scene() -> None:
        async def answers(**_: object) -> None: ...

        scheduler = Scheduler(spawn=silent)
        await scheduler.begin()
        await scheduler.ask("ready", worker="tcp://b:1", host="b", kept=[], losses=0)
        with pytest.raises(UnreachableError, match=WORKER):
            await spawn(scheduler)
        assert not await scheduler.ask("claim", worker=WORKER, session_id="s", token=0)
        scheduler.rpc = lambda _: Remote(lambda call, data: answer({"spawn": answers}, call, data))
        assert (await spawn(scheduler, BOUND)).worker == WORKER

    asyncio.run(scene())


def test_a_stop_waits_for_the_start_of_its_session() -> None:
    async def scene() -> None:
        released = asyncio.Event()

        async def slow(**_: object) -> None:
            released.set()
            await silent()

        scheduler = Scheduler(spawn=slow)
        await scheduler.begin()
        start = asyncio.ensure_future(spawn(scheduler))
        await released.wait()
        stop = await scheduler.ask("stop", session_id="s", deadline=BOUND)
        assert stop.method == "not_found"
        with pytest.raises(UnreachableError):
            await start

    asyncio.run(scene())


class Machine:
    """A scheduler's part and a worker's part of a fleet; how the second asks the first is given."""

    def __init__(self, folder: Path, tell: Callable[[Scheduler, str, bytes], Any]) -> None:
        self.scheduler = Scheduler()
        settings = Settings(str(folder), KillPolicy())
        self._plugins = SchedulerSessions(settings), WorkerSessions(settings)
        remote = Remote(lambda call, data: tell(self.scheduler, call, data))
        self._worker: Any = SimpleNamespace(address=WORKER, handlers={}, scheduler=remote)

    async def __aenter__(self) -> Scheduler:
        scheduler, worker = self._plugins
        await scheduler.start(self.scheduler)
        self.scheduler.rpc = lambda _: Remote(worker.handle)
        await worker.setup(self._worker)
        return self.scheduler

    async def __aexit__(self, *_: object) -> None:
        await self._plugins[1].teardown(self._worker)


def test_an_event_is_told_once_although_its_connection_breaks(tmp_path: Path) -> None:
    turns = count()

    async def tell(scheduler: Scheduler, call: str, data: bytes) -> Any:  # noqa: ANN401 - any value travels
        turn = next(turns) % 3 if call == "event" else 2
        reply = await scheduler.handlers[NAME](call, data) if turn else None
        if turn < 2:  # neither the event nor the answer arrives; the event alone
            raise ConnectionResetError
        return reply

    async def scene() -> None:
        async with Machine(tmp_path, tell) as scheduler:
            assert (await spawn(scheduler, BOUND, dumps((SLEEP, {})))).state == "running"
            assert (await scheduler.ask("stop", session_id="s", deadline=BOUND)).success
        names = [event["event"].rpartition(".")[2] for event in scheduler.events]
        assert names == ["started", "stopping", "stopped"]
        assert await scheduler.ask("sessions", deadline=BOUND) == {}

    asyncio.run(scene())


def test_a_worker_that_leaves_during_its_setup_is_never_ready(tmp_path: Path) -> None:
    async def scene() -> None:
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def tell(scheduler: Scheduler, call: str, data: bytes) -> Any:  # noqa: ANN401 - any value travels
            if call == "losses":
                asked.set()
                await go_on.wait()
            return await scheduler.handlers[NAME](call, data)

        machine = Machine(tmp_path, tell)
        setup = asyncio.ensure_future(machine.__aenter__())
        await asked.wait()
        await machine.__aexit__()
        go_on.set()
        with pytest.raises(FleetError, match="no such host is ready"):
            await spawn(await setup, BOUND)

    asyncio.run(scene())


def test_a_start_whose_claim_is_not_answered_frees_its_id(tmp_path: Path) -> None:
    async def tell(scheduler: Scheduler, call: str, data: bytes) -> Any:  # noqa: ANN401 - any value travels
        if call == "release":
            raise ConnectionResetError
        reply = await scheduler.handlers[NAME](call, data)
        if call == "claim":
            raise ConnectionResetError
        return reply

    async def scene() -> None:
        async with Machine(tmp_path, tell) as scheduler:
            with pytest.raises(FleetError, match="the scheduler: its connection broke"):
                await spawn(scheduler, BOUND, dumps((SLEEP, {})))
            assert await scheduler.ask("sessions", deadline=BOUND) == {}

    asyncio.run(scene())


def test_a_lost_session_is_stopped_by_a_worker_of_its_machine_that_answers() -> None:
    async def scene() -> None:
        async def begin(session_id: str, token: int, payload: bytes) -> None:
            del payload
            assert await scheduler.ask("claim", worker=WORKER, session_id=session_id, token=token)

        async def ping() -> None: ...

        async def remember(session_id: str) -> StopResult:
            return nothing_to_stop(session_id, "one of this id has ended here before")

        workers: dict[str, dict[str, Answer]] = {
            WORKER: {"spawn": begin},
            "tcp://a:2": {"ping": silent, "stop": silent},
            "tcp://a:3": {"ping": ping, "stop": remember},
        }
        scheduler = Scheduler()
        scheduler.rpc = lambda at: Remote(lambda call, data: answer(workers[at], call, data))
        plugin = SchedulerSessions(Settings("/records", KillPolicy(grace=0, settle=0)))
        await plugin.start(scheduler)
        await scheduler.ask("ready", worker=WORKER, host="a", kept=[], losses=0)
        await spawn(scheduler, BOUND)
        for worker in workers:
            await scheduler.ask("ready", worker=worker, host="a", kept=[], losses=0)
        plugin.remove_worker(scheduler, WORKER)
        stop = await scheduler.ask("stop", session_id="s", deadline=BOUND)
        assert (stop.success, stop.method) == (True, "nothing_to_stop")
        assert f"it was lost with {WORKER}" in stop.message
        assert await scheduler.ask("sessions", deadline=BOUND) == {}
        assert [event["event"] for event in scheduler.events[-2:]] == [
            "mcp.session.lost",
            "mcp.session.recovered",
        ]

    asyncio.run(scene())


def test_a_worker_that_has_left_does_not_fail_the_stop_of_others() -> None:
    async def scene() -> None:
        async def begin(session_id: str, token: int, payload: bytes) -> None:
            del payload
            assert await scheduler.ask("claim", worker=WORKER, session_id=session_id, token=token)

        async def left(_call: str, _data: bytes) -> None:
            return None

        scheduler = Scheduler(spawn=begin)
        await scheduler.begin()
        await spawn(scheduler, BOUND)
        scheduler.rpc = lambda _: Remote(left)
        (stop,) = (await scheduler.ask("stop_all", deadline=BOUND)).values()
        assert (stop.success, stop.method) == (False, "unreachable")
        found = await scheduler.ask("recover", dry_run=False, bare=False, deadline=BOUND)
        assert [host.outcome for host in found.hosts] == ["unreachable"]

    asyncio.run(scene())


def test_a_machine_that_cannot_recover_says_why() -> None:
    async def ping() -> None: ...

    async def recover(**_: object) -> None:
        raise RecordError("/records", "it is a file")  # noqa: EM101 - as the library

    async def scene() -> None:
        scheduler = Scheduler(ping=ping, recover=recover)
        await scheduler.begin()
        found = await scheduler.ask("recover", dry_run=False, bare=False, deadline=BOUND)
        assert [(host.outcome, host.ok) for host in found.hosts] == [("answered", False)]
        assert "it is a file" in str(found)

    asyncio.run(scene())


def test_a_value_that_cannot_travel_is_an_error() -> None:
    async def odd() -> object:
        return (number for number in range(3))

    succeeded, error = loads(asyncio.run(answer({"odd": odd}, "odd", dumps({}))))
    assert not succeeded
    assert "cannot be sent" in str(error)


def test_a_broken_connection_is_unreachable_and_a_missing_fleet_is_told() -> None:
    async def broken(_call: str, _data: bytes) -> bytes:
        raise ConnectionResetError

    async def none(_call: str, _data: bytes) -> None:
        return None

    with pytest.raises(UnreachableError, match="its connection broke"):
        asyncio.run(ask(Remote(broken), WORKER, BOUND, "stop"))
    with pytest.raises(FleetError, match="it has no fleet"):
        asyncio.run(ask(Remote(none), WORKER, BOUND, "stop"))


def test_a_cancelled_wait_cancels_its_work() -> None:
    async def scene() -> None:
        cancelled, begun = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            begun.set()
            try:
                await silent()
            finally:
                cancelled.set()

        waiting = asyncio.ensure_future(within(work(), LONG))
        await begun.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await cancelled.wait()

    asyncio.run(scene())
