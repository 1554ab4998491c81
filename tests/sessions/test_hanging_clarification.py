"""Real: an MCP client whose server waits for an answer is stopped with its whole tree."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from proctree_kill import KillPolicy, SessionManager
from support.agents import HASTY, PATIENT, files
from support.clarification import AGENT, QUESTION, Clarification, options
from support.consoles import listens, living
from support.listener import Listener

pytest.importorskip("mcp")
pytestmark = pytest.mark.needs("fork")

SERVERS = {"web server", "github"}
NPX_SERVERS = {"npm", "sh", "node"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where records go."""
    return tmp_path / "sessions"


@pytest.fixture
def policy() -> KillPolicy:
    """Return how sessions are stopped; each agent that leaves has the time for it."""
    return PATIENT


@pytest.fixture
def manager(folder: Path, policy: KillPolicy, listener: Listener) -> Iterator[SessionManager]:
    """Manage sessions; what is left at the end of a test is ended."""
    with SessionManager(folder, policy=policy, event_broadcaster=listener) as manager:
        yield manager


@pytest.fixture
def held() -> Iterator[int]:
    """Return an input that stays open to the end of the test."""
    reading, writing = os.pipe()
    yield reading
    os.close(reading)
    os.close(writing)


def ask(
    manager: SessionManager,
    *,
    stubborn: bool = False,
    stdin: int = subprocess.PIPE,
    everything: bool = False,
) -> Clarification:
    """Start an agent; return when it has asked."""
    argv = [*AGENT, *(["--stubborn"] if stubborn else [])]
    session = manager.spawn_agent(
        "chat-7", argv, tool="claude", stdin=stdin, **options(everything=everything)
    )
    asked = Clarification(session)
    assert asked.question == QUESTION
    assert listens(asked.port)
    return asked


@pytest.mark.parametrize(
    "everything",
    [False, pytest.param(True, marks=pytest.mark.needs("npm package", "npx"))],
    ids=["python servers", "a server of npx as well"],
)
@pytest.mark.parametrize(
    ("kind", "policy", "methods"),
    [
        ("leaves with its input", PATIENT, {"closed_stdin", "terminated"}),
        # coverage handles SIGTERM in each process, so that a child may wait for the middle
        ("leaves when asked", PATIENT, {"terminated"}),
        ("ignores everything", HASTY, {"killed"}),
    ],
)
def test_a_stop_without_an_answer_ends_the_agent_and_all_its_servers(
    manager: SessionManager,
    folder: Path,
    listener: Listener,
    held: int,
    *,
    everything: bool,
    kind: str,
    methods: set[str],
) -> None:
    asked = ask(
        manager,
        stubborn=kind == "ignores everything",
        stdin=held if kind == "leaves when asked" else subprocess.PIPE,
        everything=everything,
    )
    assert len(asked.members) > len(SERVERS | (NPX_SERVERS if everything else set()))
    assert files(folder) == {"session_chat-7.pid"}
    result = manager.stop_agent("chat-7")
    assert (result.success, result.error) == (True, None)
    assert result.method in methods
    assert living(asked.members) == []
    assert not listens(asked.port)
    assert files(folder) == set()
    assert dict(manager.sessions) == {}
    stopped = listener.wait("stopped", "chat-7")
    assert (stopped.event, stopped.method) == ("claude.session.stopped", result.method)
    assert result.kill
    ended = {outcome.identity.pid for outcome in result.kill.outcomes}
    assert ended >= {member.pid for member in asked.members}
    asked.close()


def test_an_answer_lets_the_agent_end_by_itself_and_its_servers_with_it(
    manager: SessionManager, folder: Path, listener: Listener
) -> None:
    asked = ask(manager)
    session = manager.sessions["chat-7"]
    asked.answer(age="90 days")
    assert asked.result() == "closed the issues of octo/app that were silent for 90 days"
    listener.wait("exited", "chat-7")
    assert living(asked.members) == []
    assert not listens(asked.port)
    assert session.exit_code == 0
    assert files(folder) == set()
    asked.close()


def test_another_manager_stops_it_by_its_record(folder: Path) -> None:
    with SessionManager(folder, policy=HASTY) as manager:
        asked = ask(manager, stubborn=True)
        assert SessionManager(folder, policy=HASTY).stop_agent("chat-7").method == (
            "recovered_record"
        )
    assert living(asked.members) == []
    asked.close()
