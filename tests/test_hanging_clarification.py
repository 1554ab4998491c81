"""Real: an MCP client whose server waits for an answer that never comes is stopped, all of it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proctree_kill import KillPolicy, Session, SessionManager
from support.agents import files
from support.clarification import Clarification
from support.listener import Listener

pytest.importorskip("mcp")
pytestmark = pytest.mark.needs("fork")

POLICY = KillPolicy(grace=2.0)
KINDS: dict[str, list[str]] = {
    "leaves with its input": [],
    "leaves when asked": ["ignores-input"],
    "ignores everything": ["deaf"],
}
A_SECOND = 1.0
"""What is promised for an agent that yields; what is promised beyond the grace for any other."""


@pytest.fixture
def clarification(tmp_path: Path) -> Iterator[Clarification]:
    """Prepare an agent."""
    with Clarification(tmp_path) as one:
        yield one


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where records go."""
    return tmp_path / "sessions"


@pytest.fixture
def manager(folder: Path, listener: Listener) -> Iterator[SessionManager]:
    """Manage sessions; whoever is left at the end of a test is ended."""
    with SessionManager(folder, policy=POLICY, event_broadcaster=listener) as manager:
        yield manager


def ask(
    manager: SessionManager, agent: Clarification, *ways: str, everything: bool = False
) -> Session:
    """Start an agent; return when it has been asked and everybody of its tree is there."""
    session = manager.spawn_agent(
        "chat-7",
        agent.argv(*ways, everything=everything),
        tool="claude",
        stdin=subprocess.DEVNULL if ways else subprocess.PIPE,
        **agent.options(),
    )
    assert agent.await_question(session) == "Which environment do you mean?"
    assert agent.listens()
    assert not agent.is_over()
    return session


def close(session: Session) -> None:
    """Close our ends of the pipes."""
    assert session.process
    for pipe in (session.process.stdin, session.process.stdout):
        if pipe is not None:
            pipe.close()


@pytest.mark.parametrize(
    "everything",
    [False, pytest.param(True, marks=pytest.mark.needs("npm package", "npx"))],
    ids=["python servers", "a server of npx as well"],
)
@pytest.mark.parametrize(
    ("kind", "method", "within"),
    [
        ("leaves with its input", "terminated", A_SECOND),
        ("leaves when asked", "terminated", A_SECOND),
        ("ignores everything", "killed", POLICY.grace + A_SECOND),
    ],
)
def test_a_stop_without_an_answer_ends_the_agent_and_all_its_servers(
    manager: SessionManager,
    clarification: Clarification,
    folder: Path,
    listener: Listener,
    *,
    everything: bool,
    kind: str,
    method: str,
    within: float,
) -> None:
    session = ask(manager, clarification, *KINDS[kind], everything=everything)
    assert files(folder) == {"session_chat-7.pid"}
    before = time.monotonic()
    result = manager.stop_agent("chat-7")
    assert time.monotonic() - before < within
    assert (result.success, result.method, result.error) == (True, method, None)
    assert clarification.is_over()
    assert not clarification.listens()
    assert files(folder) == set()
    assert dict(manager.sessions) == {}
    stopped = listener.wait("stopped", "chat-7")
    assert (stopped.event, stopped.method) == ("claude.session.stopped", method)
    assert result.kill
    programs = ["client", "web server", "server", *(["sh", "npm", "node"] if everything else [])]
    assert len(result.kill.outcomes) >= len(programs)
    close(session)


def test_an_answer_lets_the_agent_end_by_itself_and_its_web_server_with_it(
    manager: SessionManager, clarification: Clarification, folder: Path, listener: Listener
) -> None:
    session = ask(manager, clarification)
    clarification.answer.write_text('{"environment": "staging"}')
    assert clarification.next_line(session) == {"result": ["deployed to staging"]}
    listener.wait("exited", "chat-7")
    assert clarification.is_over()
    assert not clarification.listens()
    assert session.exit_code == 0
    assert files(folder) == set()
    close(session)


def test_another_manager_stops_it_by_its_record(clarification: Clarification, folder: Path) -> None:
    with SessionManager(folder, policy=POLICY) as manager:
        session = ask(manager, clarification, "deaf")
        assert SessionManager(folder, policy=POLICY).stop_agent("chat-7").method == (
            "recovered_record"
        )
    assert clarification.is_over()
    close(session)
