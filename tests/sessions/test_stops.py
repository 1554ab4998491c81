"""Real: sessions from their start to their stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Literal

import pytest

from proctree_kill import (
    Fate,
    KillPolicy,
    Session,
    SessionEvent,
    SessionManager,
    SessionState,
    StopResult,
    TreePopen,
    identify,
    kill_tree,
    snapshot_tree,
)
from proctree_kill._records.format import record_path
from proctree_kill._sessions import start as starts
from proctree_kill._sessions.session import ManagedSession
from support.agents import FOREVER, HASTY, PATIENT, POLITE, STUBBORN, files, start
from support.callers import apart, limit_descriptors
from support.counts import HUNG
from support.listener import Listener
from support.nodes import Node
from support.planter import Planter
from support.threads import in_thread
from support.times import BOUND

pytestmark = pytest.mark.needs("fork")

MANY, SPARE_DESCRIPTORS = 12, 8
"""Sessions that are stopped at the same time, by a process that may open so many more files."""


def test_a_session_from_its_start_to_its_end(
    manager: SessionManager, plant: Planter, tmp_path: Path, listener: Listener
) -> None:
    session, tree = start(manager, plant, "a", POLITE, tool="claude")
    assert (session.session_id, session.tool, session.state) == ("a", "claude", "running")
    assert session.identity == identify(tree.pids["root"])
    assert session.process is not None
    assert session.pid == session.process.pid == tree.pids["root"]
    assert session.exit_code is None
    assert session.started_at
    assert not session.recovered
    assert manager.sessions["a"].identity == session.identity
    assert files(tmp_path) == {"session_a.pid"}
    result = manager.stop_agent("a")
    assert (result.success, result.method, result.error) == (True, "terminated", None)
    assert result.kill
    assert result.kill.verified
    assert tree.all_dead()
    assert session.state is SessionState.STOPPED
    assert session.exit_code == -15
    assert dict(manager.sessions) == {}
    assert files(tmp_path) == set()
    last = listener.wait("stopped")
    assert listener.names() == ["started", "stopping", "stopped"]
    assert (last.event, last.state) == ("claude.session.stopped", "stopped")
    assert (last.pid, last.method) == (tree.pids["root"], "terminated")
    assert StopResult.model_validate_json(result.model_dump_json()) == result


def test_a_session_is_a_target(manager: SessionManager, plant: Planter) -> None:
    session, tree = start(manager, plant, "a", POLITE)
    members = snapshot_tree(session).members
    assert {member.identity.pid for member in members} == set(tree.pids.values())
    assert kill_tree(session, grace=0).ok
    assert tree.all_dead()
    assert [outcome.fate for outcome in kill_tree(session).outcomes] == [Fate.ALREADY_GONE]


def test_a_recovered_session_is_the_process_of_its_record(plant: Planter) -> None:
    tree = plant(POLITE)
    recovered = ManagedSession("a", "mcp")
    session: Session = Session(recovered)
    with pytest.raises(ValueError, match="has no pid: it is not started"):
        kill_tree(session)
    recovered.set_running(identify(tree.pids["root"]), None)
    assert (session.pid, session.process) == (tree.pids["root"], None)
    assert kill_tree(session, grace=0).ok
    assert tree.all_dead()


def test_a_process_that_ignores_everything_is_killed(
    plant: Planter, tmp_path: Path, listener: Listener
) -> None:
    manager = SessionManager(tmp_path, policy=HASTY, event_broadcaster=listener)
    session, tree = start(manager, plant, "a", STUBBORN)
    result = manager.stop_agent("a")
    assert (result.success, result.method) == (True, "killed")
    assert tree.all_dead()
    assert session.exit_code == -9


def test_a_server_that_leaves_when_its_input_is_closed(tmp_path: Path) -> None:
    manager = SessionManager(tmp_path, policy=FOREVER)  # no signal comes before it has left
    session = manager.spawn_agent("a", ["cat"], stdin=subprocess.PIPE)
    assert manager.stop_agent("a").method == "closed_stdin"
    assert session.exit_code == 0
    assert session.process.stdin
    session.process.stdin.close()


def test_a_daemon_of_a_session_is_ended_with_it(manager: SessionManager, plant: Planter) -> None:
    first = Node(name="first", session=True, dies=True, children=(Node(name="daemon"),))
    _, tree = start(manager, plant, "a", Node(name="root", children=(first,)))
    assert manager.stop_agent("a").success
    assert tree.all_dead()


def test_an_id_can_be_used_again(manager: SessionManager, plant: Planter) -> None:
    for _ in range(2):
        _, tree = start(manager, plant, "a", POLITE)
        assert manager.stop_agent("a").success
        assert tree.all_dead()


def test_a_second_stop_forces_and_both_return_the_same(
    plant: Planter, tmp_path: Path, listener: Listener
) -> None:
    manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=listener)
    _, tree = start(manager, plant, "a", STUBBORN)
    first = in_thread(lambda: manager.stop_agent("a"))
    listener.wait("stopping")
    second = manager.stop_agent("a")
    assert second.method == "killed"
    assert first() == second
    assert tree.all_dead()
    listener.wait("stopped")
    assert listener.names() == ["started", "stopping", "stopped"]


def test_an_interrupt_forces_and_is_raised_when_the_session_is_over(
    plant: Planter, tmp_path: Path
) -> None:
    def interrupt(event: SessionEvent) -> None:
        if event.event.endswith("stopping"):
            os.kill(os.getpid(), signal.SIGINT)

    manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=interrupt)
    session, tree = start(manager, plant, "a", STUBBORN)
    with pytest.raises(KeyboardInterrupt):
        manager.stop_agent("a")
    assert tree.all_dead()
    assert session.state is SessionState.STOPPED


def test_an_id_is_free_once_the_state_says_that_its_session_is_over(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_stop, seen = ManagedSession.end_stop, []

    def noted(session: ManagedSession, state: SessionState, result: StopResult) -> None:
        seen.append(dict(manager.sessions))
        end_stop(session, state, result)

    monkeypatch.setattr(ManagedSession, "end_stop", noted)
    manager.spawn_agent("a", ["sleep", "1000"])
    assert manager.stop_agent("a").success
    assert seen == [{}]


def test_hung_sessions_are_stopped_at_the_same_time(
    plant: Planter, tmp_path: Path, listener: Listener
) -> None:
    manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=listener)
    trees = [start(manager, plant, str(number), STUBBORN)[1] for number in range(HUNG)]
    stopping = in_thread(manager.stop_all)
    for number in range(HUNG):
        listener.wait("stopping", str(number))  # and no grace ends before the second stop
    manager.stop_all()
    results = stopping()
    assert results.keys() == {str(number) for number in range(HUNG)}
    assert all(result.success and result.method == "killed" for result in results.values())
    assert all(tree.all_dead() for tree in trees)
    assert manager.stop_all() == {}


def test_a_hung_session_delays_no_other(plant: Planter, tmp_path: Path, listener: Listener) -> None:
    manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=listener)
    hung, tree = start(manager, plant, "a", STUBBORN)
    others = [start(manager, plant, f"b{number}", POLITE)[1] for number in range(4)]
    stopping = in_thread(lambda: manager.stop_agent("a"))
    listener.wait("stopping")
    for index, other in enumerate(others):
        assert manager.stop_agent(f"b{index}").method == "terminated"
        assert other.all_dead()
    start(manager, plant, "c", POLITE)
    assert hung.state is SessionState.STOPPING
    assert {*manager.sessions} == {"a", "c"}
    assert {result.method for result in manager.stop_all().values()} == {"killed", "terminated"}
    assert stopping().success
    assert tree.all_dead()


def test_a_stop_waits_for_a_start_that_is_under_way(
    manager: SessionManager,
    plant: Planter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slowly(*args: Any, **given: Any) -> TreePopen[Any]:
        entered.set()
        assert go_on.wait(BOUND)
        return TreePopen(*args, **given)

    monkeypatch.setattr(starts, "TreePopen", slowly)
    with plant.prepare(Node(name="root")) as prepared:
        starting = in_thread(lambda: manager.spawn_agent("a", prepared.argv, **prepared.options))
        assert entered.wait(BOUND)
        assert manager.sessions["a"].state is SessionState.STARTING
        stopping = in_thread(lambda: manager.stop_agent("a"))
        go_on.set()
        session, result = starting(), stopping()
    assert isinstance(session, Session)
    assert result.success
    assert prepared.tree.all_dead()
    assert session.state is SessionState.STOPPED


def test_leaving_the_block_stops_every_session(plant: Planter, tmp_path: Path) -> None:
    with SessionManager(tmp_path, policy=PATIENT) as manager:
        trees = [start(manager, plant, str(number), POLITE)[1] for number in range(3)]
    assert all(tree.all_dead() for tree in trees)
    assert files(tmp_path) == set()


def test_a_policy_never_spares_the_root(plant: Planter, tmp_path: Path) -> None:
    manager = SessionManager(tmp_path, policy=KillPolicy(grace=10.0, include_root=False))
    _, tree = start(manager, plant, "a", POLITE)
    assert manager.stop_agent("a").success
    assert tree.all_dead()


def test_the_record_of_a_session_names_no_command(
    manager: SessionManager, plant: Planter, tmp_path: Path
) -> None:
    start(manager, plant, "a", POLITE)
    told = record_path(tmp_path, "a").read_bytes()
    assert sys.executable.encode() not in told
    assert b"argv_digest" in told


@pytest.mark.needs("procfs")
@pytest.mark.parametrize("containment", ["session", "auto"])
def test_many_sessions_are_stopped_with_few_descriptors(
    tmp_path: Path, containment: Literal["session", "auto"]
) -> None:
    def scene() -> tuple[set[str | None], set[str]]:
        with SessionManager(tmp_path, policy=PATIENT, guard=False) as manager:
            for index in range(MANY):
                command = ["sh", "-c", "sleep 1000 & sleep 1000 & wait"]
                manager.spawn_agent(str(index), command, containment=containment)
            limit_descriptors(len(list(Path("/proc/self/fd").iterdir())) + SPARE_DESCRIPTORS)
            results = manager.stop_all()
        return {result.error for result in results.values()}, files(tmp_path)

    assert apart(scene) == ({None}, set())
