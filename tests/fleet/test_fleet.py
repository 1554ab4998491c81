"""Real: sessions on three worker processes of one machine."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client, LocalCluster

from proctree_kill import KillPolicy, RecordOutcome
from proctree_kill.errors import FleetError, SessionError
from proctree_kill.fleet import Fleet, FleetEvent, FleetRecovery
from proctree_kill.fleet import client as client_module
from proctree_kill.fleet.engine import ANSWER_TIME, NAME, ask
from support.agents import POLITE, abandon, files
from support.counts import FLEET, SOAK_FLEET
from support.fleets import SLEEP, Part, client_of, start
from support.listener import Listener
from support.nodes import Node, chain
from support.planter import Planter
from support.socket_planter import SocketPlanter
from support.times import BOUND, LONG, PATIENCE

pytestmark = pytest.mark.timeout(120)  # seconds; the first test starts a cluster

STUBBORN = Node(name="root", on_term="ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@pytest.fixture
def fleet(client: Client, folder: Path, listener: Listener) -> Iterator[Fleet]:
    fleet = Fleet(
        client,
        folder,
        policy=KillPolicy(grace=PATIENCE),
        event_broadcaster=listener,
        deadline=BOUND,
    )
    yield fleet
    fleet.stop_all()
    assert fleet.sessions() == {}
    assert files(folder) == set()


def test_a_session_from_its_start_to_its_end(
    fleet: Fleet, planter: SocketPlanter, folder: Path
) -> None:
    session = start(fleet, planter, "a", POLITE, tool="claude")
    assert (session.state, session.pid) == ("running", planter.pids["root"])
    assert fleet.sessions() == {"a": session}
    assert files(folder) == {"session_a.pid"}
    result = fleet.stop_agent("a")
    assert (result.success, result.method, result.error) == (True, "terminated", None)
    assert planter.all_dead()
    assert fleet.sessions() == {}
    assert fleet.stop_agent("a").method == "nothing_to_stop"
    assert fleet.stop_agent("never").method == "not_found"


def test_the_emptiest_worker_process_starts_an_agent(fleet: Fleet) -> None:
    sessions = [fleet.spawn_agent(name, SLEEP) for name in ("a", "b", "c")]
    assert len({session.worker for session in sessions}) == 3
    fleet.stop_agent("b")
    assert fleet.spawn_agent("d", SLEEP).worker == sessions[1].worker


def test_an_agent_starts_where_it_is_told(fleet: Fleet) -> None:
    first = fleet.spawn_agent("a", SLEEP)
    second = fleet.spawn_agent("b", SLEEP, host=first.worker)
    third = fleet.spawn_agent("c", SLEEP, host=first.host)
    assert second.worker == first.worker != third.worker
    with pytest.raises(FleetError, match=f"nowhere: no such host is ready.*{first.host}"):
        fleet.spawn_agent("d", SLEEP, host="nowhere")


def test_an_id_is_used_once_in_the_whole_fleet(fleet: Fleet, cluster: Part, folder: Path) -> None:
    with client_of(cluster.address) as other:
        fleets = (fleet, Fleet(other, folder))
        with ThreadPoolExecutor(6) as threads:
            started = [
                threads.submit(fleets[turn % 2].spawn_agent, "a", SLEEP) for turn in range(6)
            ]
        errors = [future.exception() for future in started]
        assert errors.count(None) == 1
        assert {type(error) for error in errors} == {type(None), SessionError}
        assert [*fleet.sessions()] == ["a"]


def test_what_a_session_used_is_told_by_its_machine(fleet: Fleet) -> None:
    fleet.spawn_agent("a", SLEEP)
    assert fleet.usage("a").processes >= 1
    with pytest.raises(SessionError, match="not found in the fleet"):
        fleet.usage("b")


def test_activity_is_noted_on_its_machine(fleet: Fleet, client: Client) -> None:
    worker = fleet.spawn_agent("a", SLEEP, idle_timeout=LONG).worker

    def due() -> float:
        def read(dask_worker: Any) -> float:  # noqa: ANN401 - distributed is typed in part
            session = dask_worker.plugins[NAME]._manager.sessions["a"]
            return float(session._managed.idle.due)

        told: float = client.run(read, workers=[worker])[worker]
        return told

    before = due()
    fleet.touch("a")
    assert due() > before
    with pytest.raises(SessionError, match="not found in the fleet"):
        fleet.touch("never")


def test_another_client_sees_a_session_and_stops_it(
    fleet: Fleet, cluster: Part, planter: SocketPlanter
) -> None:
    session = start(fleet, planter, "a", POLITE)
    with client_of(cluster.address) as other:
        theirs = Fleet(other)
        assert theirs.sessions() == {"a": session}
        assert theirs.stop_agent("a").method == "terminated"
    assert planter.all_dead()
    assert fleet.sessions() == {}


def test_an_agent_that_is_timed_out_leaves_the_table(fleet: Fleet, listener: Listener) -> None:
    fleet.spawn_agent("a", SLEEP, max_lifetime=0.01)
    assert listener.wait("stopped").method == "timed_out"
    assert listener.names() == ["started", "timed_out", "stopping", "stopped"]
    assert fleet.sessions() == {}


def test_a_client_hears_the_events_of_its_first_call(fleet: Fleet, cluster: Part) -> None:
    for turn in range(8):  # without waiting for the subscription, most turns miss an event
        fleet.spawn_agent(f"s{turn}", SLEEP)
        heard = Listener()
        with client_of(cluster.address) as other:
            assert Fleet(other, event_broadcaster=heard).stop_agent(f"s{turn}").success
            heard.wait("stopped", f"s{turn}")
        assert heard.names(f"s{turn}") == ["stopping", "stopped"]


def test_a_second_stop_forces(
    fleet: Fleet, cluster: Part, planter: SocketPlanter, listener: Listener
) -> None:
    start(fleet, planter, "a", STUBBORN)
    with client_of(cluster.address) as other, ThreadPoolExecutor(1) as threads:
        first = threads.submit(fleet.stop_agent, "a")
        listener.wait("stopping")
        second = Fleet(other).stop_agent("a")
        assert first.result(BOUND).method == second.method == "killed"


def test_a_start_that_fails_frees_its_id(fleet: Fleet) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        fleet.spawn_agent("a", ["/no-such-program"])
    assert fleet.sessions() == {}
    assert fleet.spawn_agent("a", SLEEP).state == "running"


@pytest.mark.parametrize(
    ("error", "arguments", "options"),
    [
        (SessionError, ("a/b", SLEEP), {}),
        (SessionError, ("a", SLEEP), {"tool": ""}),
        (ValueError, ("a", []), {}),
        (TypeError, ("a", SLEEP), {"no_option": 1}),
        (ValueError, ("a", SLEEP), {"stdout": subprocess.PIPE}),
        (ValueError, ("a", SLEEP), {"pass_fds": [7]}),
        (ValueError, ("a", SLEEP), {"stderr": sys.__stderr__}),
        (ValueError, ("a", SLEEP), {"stderr": 2}),
    ],
)
def test_what_is_wrong_is_refused(
    fleet: Fleet, error: type[Exception], arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    with pytest.raises(error):
        fleet.spawn_agent(*arguments, **options)
    assert fleet.sessions() == {}


def test_the_events_of_a_session_come_in_order(
    fleet: Fleet, planter: SocketPlanter, listener: Listener
) -> None:
    names = [f"s{number}" for number in range(6)]
    for name in names:
        start(fleet, planter, name, Node(name=name))
    assert {*fleet.stop_all()} == {*names}
    for name in names:
        stopped = listener.wait("stopped", name)
        assert listener.names(name) == ["started", "stopping", "stopped"]
        assert stopped.method == "terminated"
    assert planter.all_dead()


@pytest.mark.parametrize("count", [FLEET, pytest.param(SOAK_FLEET, marks=pytest.mark.soak)])
def test_many_sessions_start_and_stop_at_once(count: int, fleet: Fleet, folder: Path) -> None:
    token = f"fleet-{uuid.uuid4().hex}"
    with ThreadPoolExecutor(FLEET) as threads:
        names = [f"s{number}" for number in range(count)]
        [*threads.map(lambda name: fleet.spawn_agent(name, [*SLEEP, token]), names)]
    sessions = fleet.sessions()
    assert {*sessions} == {*names}
    loads = Counter(session.worker for session in sessions.values())
    assert max(loads.values()) - min(loads.values()) <= 1
    assert len(running(token)) == count == len(files(folder))
    assert all(result.success for result in fleet.stop_all().values())
    assert running(token) == []


def running(token: str) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [process for process in found if token in (process.info["cmdline"] or ())]


def test_an_agent_that_exits_by_itself_leaves_the_table(fleet: Fleet, listener: Listener) -> None:
    fleet.spawn_agent("a", [sys.executable, "-I", "-S", "-c", ""])
    listener.wait("exited")
    assert fleet.sessions() == {}
    assert fleet.stop_agent("a").method == "nothing_to_stop"


def test_an_asynchronous_client_awaits(fleet: Fleet, cluster: Part, planter: SocketPlanter) -> None:
    session = start(fleet, planter, "a", POLITE)

    async def scene() -> None:
        heard = asyncio.Event()

        async def hear(event: FleetEvent) -> None:
            if (event.session_id, event.event) == ("b", "mcp.session.started"):
                heard.set()

        async with Client(cluster.address, asynchronous=True, set_as_default=False) as client:
            awaited = Fleet(client, event_broadcaster=hear)
            assert await awaited.asessions() == {"a": session}
            assert (await awaited.astop_agent("a")).method == "terminated"
            await awaited.aspawn_agent("b", SLEEP)
            assert [*(await awaited.astop_all())] == ["b"]
            assert (await awaited.arecover()).ok
            await asyncio.wait_for(heard.wait(), BOUND)
            with pytest.raises(RuntimeError, match="asynchronous"):
                awaited.sessions()

    asyncio.run(scene())
    assert planter.all_dead()


def test_a_closed_client_is_told_as_such(cluster: Part) -> None:
    with client_of(cluster.address) as client:
        fleet = Fleet(client)
    with pytest.raises(FleetError, match="the client is closed"):
        fleet.sessions()


def test_a_stop_of_all_waits_for_lost_sessions_too(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def note(*arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - as ask()
        waits.append(arguments[2])
        return await ask(*arguments, **more)

    fleet.sessions()
    monkeypatch.setattr(client_module, "ask", note)
    fleet.stop_all()
    policy = KillPolicy(grace=PATIENCE)
    limit = policy.grace + policy.settle + BOUND
    assert waits == [2 * limit + BOUND + ANSWER_TIME]


def test_a_plain_client_cannot_be_awaited(fleet: Fleet) -> None:
    with pytest.raises(RuntimeError, match="asynchronous=True"):
        asyncio.run(fleet.asessions())


def test_what_a_dead_owner_left_is_ended(fleet: Fleet, folder: Path, plant: Planter) -> None:
    fleet.sessions()
    tree = abandon(plant, folder, "orphan", chain("root", "child"))
    seen = fleet.recover(dry_run=True)
    assert [outcome.fate for outcome in reports(seen)] == ["ended"]
    found = fleet.recover()
    assert (found.ok, [outcome.session_id for outcome in reports(found)]) == (True, ["orphan"])
    assert tree.all_dead()
    assert "orphan" in str(found)


@pytest.mark.parametrize("name", ["dry_run", "bare"])
def test_a_recovery_refuses_what_is_no_bool(name: str, fleet: Fleet) -> None:
    options: dict[str, Any] = {name: "yes"}
    with pytest.raises(TypeError, match=f"{name} is 'yes', expected True or False"):
        fleet.recover(**options)


def reports(recovery: FleetRecovery) -> list[RecordOutcome]:
    return [outcome for host in recovery.hosts if host.report for outcome in host.report.outcomes]


def test_the_first_client_decides(fleet: Fleet, client: Client, folder: Path) -> None:
    fleet.sessions()
    for wrong in (Fleet(client, folder / "other"), Fleet(client, policy=KillPolicy(grace=1))):
        with pytest.raises(FleetError, match="its fleet has the"):
            wrong.sessions()


@pytest.mark.parametrize("client", [None, "tcp://10.0.0.1:8786", LocalCluster])
def test_what_is_no_client_is_refused(client: Any) -> None:  # noqa: ANN401 - refused
    with pytest.raises(TypeError, match=r"client is .* expected a distributed\.Client"):
        Fleet(client)


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (TypeError, "directory", 1),
        (ValueError, "directory", ""),
        (TypeError, "policy", {"grace": 1}),
        (TypeError, "event_broadcaster", "print"),
        (TypeError, "deadline", "1"),
        (ValueError, "deadline", 0),
        (ValueError, "deadline", float("inf")),
        (ValueError, "deadline", 10**400),
    ],
)
def test_a_wrong_argument_is_refused_by_name(
    error: type[Exception], name: str, value: object, client: Client
) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(error, match=name):
        Fleet(client, **options)
