"""Seam: kills, records and threads that fail. Real: the agents, none of which is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from proctree_kill import (
    KillResult,
    SessionManager,
    SessionState,
    identify,
)
from proctree_kill._models.errors import TargetRefusedError
from proctree_kill._records.recording import Recording
from support.agents import POLITE, files, start
from support.failures import fail_once, refuse_threads, survivor
from support.listener import Listener
from support.planter import Planter

pytestmark = pytest.mark.needs("fork")

AGENT = ["sleep", "1000"]


def test_a_survivor_is_a_value_and_its_stop_can_be_tried_again(
    manager: SessionManager,
    plant: Planter,
    tmp_path: Path,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, tree = start(manager, plant, "a", POLITE)
    fail_once(monkeypatch, survivor)
    result = manager.stop_agent("a")
    assert not result.success
    assert "a process is still alive" in result.message
    assert result.error
    assert result.kill
    assert session.state is SessionState.FAILED
    assert files(tmp_path) == {"session_a.pid"}
    assert listener.wait("stop_failed").error == result.error
    assert {*manager.sessions} == {"a"}
    assert manager.stop_agent("a").success
    assert tree.all_dead()
    listener.wait("stopped")
    assert listener.names() == ["started", "stopping", "stop_failed", "stopping", "stopped"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TargetRefusedError(7, "it holds the caller"), "process 7 is refused"),
        (MemoryError("no room"), "MemoryError: no room"),
    ],
)
def test_a_kill_that_raises_is_a_failure_that_says_why(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def raising(_: object) -> KillResult:
        raise error

    manager.spawn_agent("a", AGENT)
    fail_once(monkeypatch, raising)
    result = manager.stop_agent("a")
    assert not result.success
    assert words in str(result.error)
    assert manager.stop_agent("a").success


def test_an_exit_whose_leftovers_survive_is_told_as_a_failure(
    manager: SessionManager,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fail_once(monkeypatch, survivor)
    session = manager.spawn_agent("a", ["sh", "-c", "sleep 1000 & exit 3"])
    listener.wait("stop_failed")
    assert (session.state, session.exit_code) == (SessionState.FAILED, 3)
    assert any("a process is still alive" in record.message for record in caplog.records)
    assert manager.stop_agent("a").success


def test_a_record_that_cannot_be_removed_is_logged(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = manager.spawn_agent("a", AGENT)
    monkeypatch.setattr(Recording, "forget", lambda _: False)
    assert manager.stop_agent("a").success
    assert session.state is SessionState.STOPPED
    assert any("cannot be removed" in record.message for record in caplog.records)


def test_without_a_thread_to_be_had_the_watcher_ends_what_an_exit_left(
    manager: SessionManager, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_threads(monkeypatch)
    session = manager.spawn_agent("a", ["sh", "-c", "sleep 1000 & exit 3"])
    listener.wait("exited")
    assert session.exit_code == 3


def test_what_happened_to_a_session_can_be_printed(manager: SessionManager) -> None:
    session = manager.spawn_agent("a", AGENT)
    assert session.identity
    assert session.identity == identify(session.identity.pid)
    assert repr(manager).endswith("1 sessions>")
    assert "running, process" in repr(session)
