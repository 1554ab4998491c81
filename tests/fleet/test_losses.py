"""Real: a worker process, a machine or the scheduler is stopped or lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from distributed import Client

from proctree_kill import KillPolicy
from proctree_kill.errors import FleetError, SessionError, UnreachableError
from proctree_kill.fleet import Fleet
from proctree_kill.fleet import client as client_module
from support.agents import POLITE, files
from support.counts import SOAK_FLEET
from support.fleets import SLEEP, Part, client_of, part, pid_of, start
from support.listener import Listener
from support.nodes import Node
from support.socket_planter import SocketPlanter
from support.times import BOUND, LONG

pytestmark = pytest.mark.timeout(120)  # seconds; the first test starts a cluster

STUBBORN = Node(name="root", on_term="ignore")
HASTY = KillPolicy(grace=0.1, settle=0.5)
HURRIED = 0.3  # seconds that a stopped process has to answer; they pass in full


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Pair(NamedTuple):
    """A scheduler with one worker process, which nothing restarts, and a client."""

    scheduler: Part
    worker: Part
    client: Client


@pytest.fixture
def pair() -> Iterator[Pair]:
    with (
        part("scheduler") as scheduler,
        part("worker", scheduler.address) as worker,
        client_of(scheduler.address) as client,
    ):
        yield Pair(scheduler, worker, client)


def test_a_scheduler_without_a_fleet_logs_no_traceback() -> None:
    with (
        part("scheduler", stderr=subprocess.PIPE) as scheduler,
        client_of(scheduler.address) as client,
        pytest.raises(FleetError, match="it has no fleet"),
    ):
        Fleet(client).sessions()
    assert "Traceback" not in scheduler.log


def test_the_sessions_of_a_killed_worker_end_and_it_recovers(
    planter: SocketPlanter, tmp_path: Path, listener: Listener
) -> None:
    with part("cluster", "1") as cluster, client_of(cluster.address) as client:
        fleet = Fleet(client, tmp_path, event_broadcaster=listener, deadline=BOUND)
        session = start(fleet, planter, "a", POLITE)
        os.kill(pid_of(client, session.worker), signal.SIGKILL)
        lost = listener.wait("lost")
        assert (lost.state, lost.pid) == ("lost", session.pid)
        listener.wait("recovered")
        assert planter.all_dead()
        assert fleet.sessions() == {}
        result = fleet.stop_agent("a")
        assert (result.success, result.method) == (True, "nothing_to_stop")
        assert f"lost with {session.worker}" in result.message
        assert fleet.spawn_agent("a", SLEEP).worker != session.worker
        fleet.stop_all()
    assert files(tmp_path) == set()


def test_a_lost_session_keeps_its_id_until_its_machine_answers(
    pair: Pair,
    tmp_path: Path,
    planter: SocketPlanter,
    listener: Listener,
) -> None:
    fleet = Fleet(pair.client, tmp_path, event_broadcaster=listener, deadline=BOUND)
    start(fleet, planter, "a", POLITE)
    pair.worker.process.kill()
    listener.wait("lost")
    assert fleet.sessions()["a"].state == "lost"
    result = fleet.stop_agent("a")
    assert (result.success, result.method) == (False, "unreachable")
    assert fleet.stop_all() == {"a": result}
    (recovered,) = fleet.recover().hosts
    assert (recovered.outcome, recovered.ok) == ("unreachable", False)
    with pytest.raises(UnreachableError, match="lost"):
        fleet.usage("a")
    with pytest.raises(SessionError, match="lost"):
        fleet.spawn_agent("a", SLEEP)
    with pytest.raises(FleetError, match="no such host"):
        fleet.spawn_agent("b", SLEEP)
    assert planter.all_dead()
    with part("worker", pair.scheduler.address):
        listener.wait("recovered")
        assert fleet.sessions() == {}


def test_a_stopped_worker_is_unreachable(
    planter: SocketPlanter, tmp_path: Path, listener: Listener
) -> None:
    with part("cluster", "2") as cluster, client_of(cluster.address) as client:
        fleet = Fleet(client, tmp_path, policy=HASTY, event_broadcaster=listener, deadline=BOUND)
        hurried = Fleet(client, deadline=HURRIED)
        session = start(fleet, planter, "a", Node(name="a"))
        other = start(fleet, planter, "b", Node(name="b"))
        with stopped(pid_of(client, session.worker)):
            result = hurried.stop_agent("a")
            assert (result.success, result.method) == (False, "unreachable")
            assert session.worker in result.message
            with pytest.raises(UnreachableError, match="did not answer"):
                hurried.spawn_agent("c", SLEEP, host=session.worker)
            assert fleet.spawn_agent("c", SLEEP).worker == other.worker
            assert fleet.stop_agent("b").success
            assert fleet.stop_agent("c").success
            assert fleet.recover().ok  # the other worker process of the machine answers
            assert {name: found.method for name, found in hurried.stop_all().items()} == {
                "a": "unreachable"
            }
        # It does what it was asked when it runs again, but for the start that was given up.
        listener.wait("stopped", "a")
        assert planter.all_dead()
        assert fleet.stop_all() == {}
        listener.wait("stopped", "c")
        assert listener.names("c") == ["started", "stopping", "stopped"]


def test_a_stopped_machine_or_scheduler_is_unreachable(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fleet(pair.client, tmp_path, policy=HASTY, deadline=BOUND).sessions()
    fleet = Fleet(pair.client, deadline=HURRIED)
    with stopped(pair.worker.process.pid):
        found = fleet.recover()
    assert not found.ok
    assert [host.outcome for host in found.hosts] == ["unreachable"]
    assert "unreachable" in str(found)
    monkeypatch.setattr(client_module, "ANSWER_TIME", HURRIED)
    with (
        stopped(pair.scheduler.process.pid),
        pytest.raises(UnreachableError, match="the scheduler: it did not answer"),
    ):
        fleet.sessions()


def test_a_lost_scheduler_ends_the_sessions(
    pair: Pair,
    tmp_path: Path,
    planter: SocketPlanter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = Fleet(pair.client, tmp_path, deadline=BOUND)
    start(fleet, planter, "a", POLITE)
    pair.scheduler.process.kill()
    assert planter.all_dead()
    pair.worker.process.wait(BOUND)
    assert files(tmp_path) == set()
    monkeypatch.setattr(client_module, "ANSWER_TIME", HURRIED)
    with pytest.raises(UnreachableError, match="the scheduler"):
        Fleet(pair.client, deadline=HURRIED).sessions()


def test_a_fleet_goes_on_with_a_new_scheduler_at_the_address(
    pair: Pair, tmp_path: Path, listener: Listener
) -> None:
    async def connection() -> None:
        while pair.client.status != "running":  # noqa: ASYNC110 - distributed has no event for it
            await asyncio.sleep(0)

    fleet = Fleet(pair.client, tmp_path, event_broadcaster=listener, deadline=BOUND)
    fleet.spawn_agent("a", SLEEP)
    pair.scheduler.process.kill()
    pair.worker.process.wait(BOUND)
    _, _, port = pair.scheduler.address.rpartition(":")
    with part("scheduler", port) as scheduler, part("worker", scheduler.address):
        pair.client.sync(connection)
        pair.client.wait_for_workers(1, timeout=BOUND)
        assert fleet.sessions() == {}
        fleet.spawn_agent("b", SLEEP)
        listener.wait("started", "b")
        assert fleet.stop_agent("b").success
        pair.client.close()


def test_a_cluster_says_that_it_has_no_fleet_or_why_it_cannot_have_it(
    pair: Pair, tmp_path: Path
) -> None:
    with pytest.raises(FleetError, match=r"it has no fleet; Fleet\(client, DIRECTORY\)"):
        Fleet(pair.client).sessions()
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(FleetError, match="it cannot take sessions"):
        Fleet(pair.client, tmp_path / "file", deadline=BOUND).sessions()


def test_a_worker_that_leaves_ends_its_sessions_first(
    pair: Pair, tmp_path: Path, planter: SocketPlanter, listener: Listener
) -> None:
    fleet = Fleet(pair.client, tmp_path, event_broadcaster=listener, deadline=BOUND)
    session = start(fleet, planter, "a", POLITE)
    pair.client.retire_workers()  # a worker process with sessions stays
    assert fleet.sessions() == {"a": session}
    pair.client.retire_workers([session.worker])
    listener.wait("stopped")
    assert planter.all_dead()
    assert fleet.sessions() == {}
    assert {getattr(event, "host", None) for event in listener.events} == {session.host}
    names = listener.names()  # "lost" comes first: the scheduler lets it go before it has ended
    assert (names[0], names[-1]) == ("started", "stopped")


def test_a_worker_that_still_stops_its_sessions_gets_no_new_ones(
    pair: Pair, tmp_path: Path, planter: SocketPlanter, listener: Listener
) -> None:
    def close_soon(dask_worker: Any) -> None:  # noqa: ANN401 - distributed is typed in part
        dask_worker.loop.add_callback(dask_worker.close)

    policy = KillPolicy(grace=LONG)
    fleet = Fleet(pair.client, tmp_path, policy=policy, event_broadcaster=listener, deadline=BOUND)
    session = start(fleet, planter, "a", STUBBORN)
    with part("worker", pair.scheduler.address) as other:
        fleet.recover()
        fleet.spawn_agent("b", SLEEP, host=other.address)
        pair.client.run(close_soon, workers=[session.worker])
        listener.wait("stopping", "a")
        assert fleet.spawn_agent("c", SLEEP).worker == other.address != session.worker
        assert fleet.usage("a").processes >= 1
        assert {name: found.method for name, found in fleet.stop_all().items()} == {
            "a": "killed",
            "b": "terminated",
            "c": "terminated",
        }
        assert planter.all_dead()
        pair.worker.process.wait(BOUND)
        assert fleet.sessions() == {}


@pytest.mark.soak
def test_of_many_sessions_those_of_a_killed_worker_are_lost_and_the_others_stop(
    tmp_path: Path, listener: Listener
) -> None:
    with part("cluster", "3") as cluster, client_of(cluster.address) as client:
        fleet = Fleet(client, tmp_path, event_broadcaster=listener, deadline=BOUND)
        names = [f"s{number}" for number in range(SOAK_FLEET)]
        sessions = {name: fleet.spawn_agent(name, SLEEP) for name in names}
        killed = sessions["s0"].worker
        os.kill(pid_of(client, killed), signal.SIGKILL)
        for name, session in sessions.items():
            if session.worker == killed:
                listener.wait("lost", name)
                listener.wait("recovered", name)
        assert all(result.success for result in fleet.stop_all().values())
        assert fleet.sessions() == {}
    assert files(tmp_path) == set()
