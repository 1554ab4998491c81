"""Real: what the trees of sessions used."""

from __future__ import annotations

import subprocess

import pytest

from proctree_kill import SessionManager, errors
from support.burning import BURN, PYTHON, READY, SEEN
from support.listener import Listener

pytestmark = pytest.mark.needs("fork")


def test_a_session_tells_what_it_used_while_it_runs_and_in_its_result(
    manager: SessionManager,
) -> None:
    session = manager.spawn_agent(
        "a",
        [*PYTHON, BURN + READY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        containment="session",
    )
    with session.process:
        assert session.process.stdout
        assert session.process.stdout.readline() == b"ready\n"
        running = manager.usage("a")
        result = manager.stop_agent("a")
    assert running.cpu >= SEEN
    assert result.kill
    assert result.kill.usage
    assert result.kill.usage.cpu >= running.cpu


def test_an_agent_that_has_exited_by_itself_tells_what_it_used(
    manager: SessionManager, listener: Listener
) -> None:
    session = manager.spawn_agent(
        "a", [*PYTHON, BURN + "raise SystemExit(3)"], containment="session"
    )
    listener.wait("exited")
    assert session.result
    assert session.result.kill
    assert session.result.kill.usage
    assert session.result.kill.usage.cpu >= SEEN
    assert session.result.kill.root
    assert session.result.kill.root.exit_code == 3


@pytest.mark.parametrize("session_id", ["never", "ended"])
def test_a_session_that_does_not_run_here_has_no_usage(
    manager: SessionManager, listener: Listener, session_id: str
) -> None:
    manager.spawn_agent("ended", ["true"])
    listener.wait("exited", "ended")
    with pytest.raises(errors.SessionError, match=rf"session '{session_id}': not found"):
        manager.usage(session_id)
