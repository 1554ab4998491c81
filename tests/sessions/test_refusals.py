"""Real: what a manager refuses, and starts that fail."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from proctree_kill import SessionManager, SessionState, errors
from proctree_kill._sessions.session import ManagedSession
from support.agents import POLITE, files, start
from support.callers import apart
from support.listener import Listener
from support.planter import Planter
from support.records import write

pytestmark = pytest.mark.needs("fork")


@pytest.mark.parametrize("name", ["../x", "", "x" * 300, "a\0", "CON", "a."])
def test_an_id_that_is_none_touches_nothing(
    manager: SessionManager, tmp_path: Path, name: str
) -> None:
    with pytest.raises(errors.SessionError):
        manager.spawn_agent(name, ["true"])
    with pytest.raises(errors.SessionError):
        manager.stop_agent(name)
    assert files(tmp_path) == set()


def test_a_session_that_is_there_is_not_started_again(
    manager: SessionManager, plant: Planter
) -> None:
    session, _ = start(manager, plant, "a", POLITE)
    with pytest.raises(errors.SessionError, match="there already, and running"):
        manager.spawn_agent("a", ["true"])
    assert session.state is SessionState.RUNNING


def test_an_id_with_a_record_is_not_started(manager: SessionManager, tmp_path: Path) -> None:
    write(tmp_path, "a")
    with pytest.raises(errors.RecordError, match="recover it or stop it first"):
        manager.spawn_agent("a", ["true"])
    assert files(tmp_path) == {"session_a.starting"}
    assert dict(manager.sessions) == {}


@pytest.mark.usefixtures("no_cgroup")
def test_what_cannot_be_started_leaves_nothing(
    manager: SessionManager, tmp_path: Path, listener: Listener
) -> None:
    with pytest.raises(FileNotFoundError):
        manager.spawn_agent("a", ["no-such-program"])
    with pytest.raises(ValueError, match="containment is 'cage'"):
        manager.spawn_agent("a", ["true"], containment="cage")  # type: ignore[call-overload] # a wrong one
    assert files(tmp_path) == set()
    assert dict(manager.sessions) == {}
    assert listener.events == []


def test_a_tool_has_a_name(manager: SessionManager) -> None:
    with pytest.raises(errors.SessionError, match="a tool is a name"):
        manager.spawn_agent("a", ["true"], tool="")


def test_a_manager_that_was_left_starts_nothing(tmp_path: Path) -> None:
    with SessionManager(tmp_path) as manager:
        pass
    with pytest.raises(errors.SessionError, match="starts nothing any more"):
        manager.spawn_agent("a", ["true"])
    with manager:
        manager.spawn_agent("a", ["cat"], stdin=subprocess.DEVNULL)


def test_a_forked_child_is_refused_and_stops_nothing(
    manager: SessionManager, plant: Planter
) -> None:
    session, _ = start(manager, plant, "a", POLITE)

    def scene() -> list[str]:
        said = []
        calls: list[Callable[[], object]] = [
            lambda: manager.sessions,
            lambda: manager.spawn_agent("b", ["true"]),
            lambda: manager.stop_agent("a"),
            manager.stop_all,
            manager.recover,
            manager.__enter__,
        ]
        for call in calls:
            try:
                call()
            except errors.SessionError as error:
                said.append(error.reason)
        manager.__exit__(None, None, None)
        return said

    said = apart(scene)
    assert len(said) == 6
    assert all("a fork" in message for message in said)
    assert session.state is SessionState.RUNNING


def test_a_broadcaster_has_to_be_callable(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="event_broadcaster"):
        SessionManager(tmp_path, event_broadcaster="mqtt")  # type: ignore[arg-type] # the point


@pytest.mark.parametrize("where", ["set_running", "end_start"])
def test_an_interrupted_start_leaves_no_process(
    manager: SessionManager,
    plant: Planter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    real = getattr(ManagedSession, where)

    def interrupted(session: ManagedSession, *args: object) -> None:
        monkeypatch.undo()
        if where == "end_start":
            real(session, *args)
        raise KeyboardInterrupt

    monkeypatch.setattr(ManagedSession, where, interrupted)
    with plant.prepare(POLITE) as prepared, pytest.raises(KeyboardInterrupt):
        manager.spawn_agent("a", prepared.argv, **prepared.options)
    assert prepared.tree.all_dead()
    assert files(tmp_path) == set()
    assert dict(manager.sessions) == {}


@pytest.mark.parametrize(
    ("option", "words"),
    [("record", "'record' is unknown"), ("linger", "'linger' is unknown"), ("evn", "mean 'env'")],
)
def test_an_option_that_an_agent_has_not_is_refused(
    manager: SessionManager, tmp_path: Path, option: str, words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        manager.spawn_agent("a", ["true"], **{option: None})  # type: ignore[call-overload] # wrong on purpose
    assert list(tmp_path.iterdir()) == []
    assert not manager.sessions
