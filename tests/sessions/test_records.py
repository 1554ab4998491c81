"""Real: stops of sessions that are known by a record only."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from proctree_kill import KillPolicy, SessionManager, SessionState, StopResult, identify
from proctree_kill._records.format import record_path
from proctree_kill._records.recover_record import RecordRecovery
from proctree_kill._records.report import RecordOutcome
from proctree_kill._sessions import registry
from support.agents import FOREVER, PATIENT, POLITE, STUBBORN, files, start
from support.callers import apart, unprivileged
from support.listener import Listener
from support.planter import Planter
from support.records import dead_owner, new_marker, write
from support.threads import in_thread
from support.users import ordinary_user

pytestmark = pytest.mark.needs("fork")


def test_nothing_is_there(manager: SessionManager) -> None:
    result = manager.stop_agent("a")
    assert (result.success, result.method, result.kill) == (False, "not_found", None)
    assert result.error == "Session a not found"
    assert "has no record" in result.message


def test_ids_that_ended_are_remembered_and_a_later_stop_is_a_success(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "REMEMBERED", 2)
    for name in "abca":
        manager.spawn_agent(name, ["sleep", "1000"])
        assert manager.stop_agent(name).success
    results = {name: manager.stop_agent(name) for name in "abc"}
    assert {name: result.method for name, result in results.items()} == {
        "a": "nothing_to_stop",
        "b": "not_found",
        "c": "nothing_to_stop",
    }
    assert results["a"].success
    assert results["a"].message == "session a: it has ended already"


def test_an_agent_that_exited_by_itself_is_remembered(
    manager: SessionManager, listener: Listener
) -> None:
    manager.spawn_agent("a", ["true"])
    listener.wait("exited")
    assert manager.stop_agent("a").method == "nothing_to_stop"


def test_what_could_not_be_started_is_not_found(manager: SessionManager) -> None:
    with pytest.raises(FileNotFoundError):
        manager.spawn_agent("a", ["no-such-program"])
    assert manager.stop_agent("a").method == "not_found"


def test_what_a_recovery_ended_is_remembered(
    manager: SessionManager, plant: Planter, tmp_path: Path
) -> None:
    write(tmp_path, "a", owner=dead_owner(plant))
    assert manager.recover(dry_run=True).summary() == "would be: 1 gone"
    assert manager.recover().summary() == "1 gone"
    assert manager.stop_agent("a").method == "nothing_to_stop"


def test_what_another_manager_ended_is_not_found_here(
    manager: SessionManager, plant: Planter, tmp_path: Path
) -> None:
    other = SessionManager(tmp_path)
    _, tree = start(manager, plant, "a", POLITE)
    assert manager.stop_agent("a").success
    assert other.stop_agent("a").method == "not_found"
    assert tree.all_dead()


def test_a_lost_session_is_ended_by_its_record_for_any_owner(
    manager: SessionManager, plant: Planter, tmp_path: Path, listener: Listener
) -> None:
    other = SessionManager(tmp_path, policy=PATIENT)
    session, tree = start(other, plant, "a", POLITE, tool="claude")
    result = manager.stop_agent("a")
    assert (result.success, result.method) == (True, "recovered_record")
    assert tree.all_dead()
    assert files(tmp_path) == set()
    assert listener.wait("stopped").event == "claude.session.stopped"
    assert session.process
    session.process.wait()
    # Its own manager may be ending what was left when the root had exited, by whatever method.
    assert other.stop_agent("a").success


def test_a_recycled_pid_is_not_touched_and_it_is_said(
    manager: SessionManager, plant: Planter, tmp_path: Path
) -> None:
    tree = plant(POLITE)
    another = identify(tree.root.pid).model_copy(update={"start": 1, "inode": 1})
    if another.weak:
        another = another.model_copy(update={"create_time": 1.0})
    write(tmp_path, "a", owner=dead_owner(plant), identity=another)
    result = manager.stop_agent("a")
    assert (result.success, result.method) == (True, "nothing_to_stop")
    assert "was not touched" in result.message
    assert tree.root.poll() is None
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    ("text", "words"), [(b"4711", "another program"), (b"7\n{", "no JSON object")]
)
def test_what_may_not_be_acted_upon_is_a_failure_that_says_why(
    manager: SessionManager, tmp_path: Path, listener: Listener, text: bytes, words: str
) -> None:
    path = record_path(tmp_path, "a")
    path.write_bytes(text)
    result = manager.stop_agent("a")
    assert (result.success, result.method) == (False, "nothing_to_stop")
    assert words in str(result.error)
    assert path.read_bytes() == text
    assert listener.wait("stop_failed").error == result.error
    assert dict(manager.sessions) == {}


@pytest.mark.needs("root", "ordinary user")
def test_where_records_cannot_be_read_a_stop_says_so(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)

    def scene() -> StopResult:
        with unprivileged(ordinary_user()):
            return SessionManager(closed, guard=False).stop_agent("a")

    result = apart(scene)
    closed.rmdir()
    assert not result.success
    assert result.error == "its record is unreadable: Permission denied"


def test_a_second_stop_of_a_lost_session_forces_too(
    plant: Planter, tmp_path: Path, listener: Listener
) -> None:
    manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=listener)
    marker = new_marker()
    tree = plant(STUBBORN, marker=marker)
    write(tmp_path, "a", identity=identify(tree.root.pid), marker=marker)
    first = in_thread(lambda: manager.stop_agent("a"))
    listener.wait("stopping")
    assert manager.sessions["a"].recovered
    assert manager.stop_agent("a") == first()
    assert tree.all_dead()


def test_the_manager_recovers_and_reports(
    manager: SessionManager, plant: Planter, tmp_path: Path, listener: Listener
) -> None:
    marker = new_marker()
    tree = plant(POLITE, marker=marker)
    identity = identify(tree.root.pid)
    write(tmp_path, "a", owner=dead_owner(plant), identity=identity, marker=marker)
    kept, alive = start(manager, plant, "b", POLITE)
    assert manager.recover(dry_run=True).summary() == "would be: 1 ended, 1 owned"
    assert manager.recover().summary() == "1 ended, 1 owned"
    event = listener.wait("recovered")
    assert (event.event, event.pid) == ("mcp.session.recovered", identity.pid)
    assert listener.names() == ["recovered"]
    assert tree.all_dead()
    assert kept.state is SessionState.RUNNING
    assert not alive.all_dead()


def test_a_stop_waits_for_the_record_of_a_session_that_is_just_being_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = subprocess.Popen(["sleep", "1000"])
    intent = write(tmp_path, "x")
    look = RecordRecovery._look

    def started(self: RecordRecovery) -> RecordOutcome:
        outcome = look(self)
        if intent.exists():
            write(tmp_path, "x", identity=identify(child.pid))
            intent.unlink()
        return outcome

    monkeypatch.setattr(RecordRecovery, "_look", started)
    manager = SessionManager(tmp_path, policy=KillPolicy(grace=0), guard=False)
    result = manager.stop_agent("x")
    assert (result.success, result.method) == (True, "recovered_record")
    assert child.wait() == -9
