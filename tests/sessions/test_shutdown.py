"""Real: sessions with a shutdown hook, and with processes that a stop leaves alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import KillPolicy, Session, SessionManager, TreeMember, errors, kill_tree
from proctree_kill._sessions.session import StopOptions
from proctree_kill._systems import current
from proctree_kill._systems.contract import Reply, System
from proctree_kill._systems.member import Member
from support.agents import FOREVER, POLITE, files, start
from support.listener import Listener
from support.loops import on_both
from support.planter import Planter
from support.times import HASTE, PATIENCE

pytestmark = pytest.mark.needs("fork")

BRIEF = KillPolicy(teardown=[("SIGTERM", HASTE), ("SIGTERM", PATIENCE)])
SERVER = "import os, sys; os.read(int(sys.argv[1]), 1); os._exit(7)"


class Server:
    """A command that exits when a byte arrives in a pipe of its own."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.command = [sys.executable, "-I", "-S", "-c", SERVER, str(self.reader)]
        self.seen: list[str] = []

    def shut_down(self, session: Session) -> None:
        """Send the message of its own."""
        self.seen.append(session.session_id)
        os.write(self.writer, b"x")

    async def ashut_down(self, session: Session) -> None:
        """Send the message of its own."""
        self.shut_down(session)

    def refuse(self, session: Session) -> None:
        """Fail."""
        self.seen.append(session.session_id)
        raise ConnectionError


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    os.close(server.reader)
    os.close(server.writer)


def test_an_agent_that_obeys_the_hook(tmp_path: Path, server: Server, listener: Listener) -> None:
    manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=listener)
    session = manager.spawn_agent(
        "a",
        server.command,
        shutdown=server.shut_down,
        pass_fds=[server.reader],
        stdin=subprocess.PIPE,
    )
    result = manager.stop_agent("a")
    assert (result.success, result.method) == (True, "shutdown")
    assert "it exited because of its shutdown hook" in result.message
    assert (server.seen, session.exit_code) == (["a"], 7)
    assert listener.wait("stopped").method == "shutdown"
    close_input(session)


@pytest.mark.parametrize(
    ("command", "policy", "method"),
    [(["cat"], FOREVER, "closed_stdin"), (["sleep", "1000"], BRIEF, "terminated")],
)
def test_where_the_hook_raises_the_method_is_what_helped(
    tmp_path: Path, server: Server, command: list[str], policy: KillPolicy, method: str
) -> None:
    manager = SessionManager(tmp_path, policy=policy)
    session = manager.spawn_agent("a", command, shutdown=server.refuse, stdin=subprocess.PIPE)
    result = manager.stop_agent("a")
    assert (result.success, result.method) == (True, method)
    assert result.kill
    assert result.kill.root
    assert "the shutdown hook raised ConnectionError" in str(result.kill.root.detail)
    close_input(session)


def test_without_an_input_pipe_none_was_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with current() as system:
        kind = type(system)
    ask = kind.ask

    def leave_then_ask(system: System, members: Iterable[Member], *request: Any) -> Reply:
        found = [*members]
        for member in found:
            os.kill(member.pid, signal.SIGKILL)
            os.waitpid(member.pid, 0)  # a zombie would take the signal
        return ask(system, found, *request)

    monkeypatch.setattr(kind, "ask", leave_then_ask)
    manager = SessionManager(tmp_path, policy=FOREVER)
    manager.spawn_agent("a", ["sleep", "1000"], stdin=subprocess.DEVNULL)
    result = manager.stop_agent("a")
    assert result.kill
    assert [(found.fate, found.signals) for found in result.kill.outcomes] == [("terminated", ())]
    assert (result.success, result.method) == (True, "nothing_to_stop")


@on_both
def test_a_coroutine_function_is_called_on_the_loop_of_the_start(
    loop: Callable[..., Any], tmp_path: Path, server: Server
) -> None:
    manager = SessionManager(tmp_path, policy=FOREVER)

    async def scene() -> str:
        await manager.aspawn_agent(
            "a", server.command, shutdown=server.ashut_down, pass_fds=[server.reader]
        )
        return (await manager.astop_agent("a")).method

    assert loop(scene) == "shutdown"
    assert server.seen == ["a"]


@on_both
def test_the_end_of_a_block_calls_it(
    loop: Callable[..., Any], tmp_path: Path, server: Server
) -> None:
    async def scene() -> Session:
        async with SessionManager(tmp_path, policy=FOREVER) as manager:
            return await manager.aspawn_agent(
                "a", server.command, shutdown=server.ashut_down, pass_fds=[server.reader]
            )

    assert loop(scene).exit_code == 7


def test_a_loop_that_is_closed_is_reported(tmp_path: Path, server: Server) -> None:
    import asyncio  # noqa: PLC0415 - its loop alone

    manager = SessionManager(tmp_path, policy=BRIEF)
    asyncio.run(
        manager.aspawn_agent(
            "a", server.command, shutdown=server.ashut_down, pass_fds=[server.reader]
        )
    )
    result = manager.stop_agent("a")
    assert (result.success, result.method) == (True, "terminated")
    assert result.kill
    assert result.kill.root
    assert "Event loop is closed" in str(result.kill.root.detail)


def test_an_agent_that_exited_by_itself_is_asked_by_no_hook(
    manager: SessionManager, plant: Planter, server: Server, listener: Listener
) -> None:
    _, tree = start(manager, plant, "a", POLITE, shutdown=server.shut_down)
    os.kill(tree.pids["root"], signal.SIGKILL)
    listener.wait("exited")
    assert tree.all_dead()
    assert server.seen == []


def test_a_stop_by_record_calls_no_hook(
    manager: SessionManager, plant: Planter, tmp_path: Path, server: Server
) -> None:
    other = SessionManager(tmp_path)
    _, tree = start(other, plant, "a", POLITE, shutdown=server.shut_down)
    assert manager.stop_agent("a").method == "recovered_record"
    assert tree.all_dead()
    assert server.seen == []
    other.stop_all()
    assert server.seen == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shutdown": 7}, "shutdown must be callable, not 7"),
        ({"spare": 7}, "spare must be pids, identities, names or a predicate, not 7"),
        ({"spare": "adb"}, r"not 'adb'; did you mean \['adb'\]"),
        ({"spare": [0]}, "from 1 to"),
    ],
)
def test_wrong_options_are_refused_before_the_start(
    manager: SessionManager, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises((TypeError, errors.TargetRefusedError), match=words):
        manager.spawn_agent("a", ["sleep", "1000"], **options)
    assert files(tmp_path) == set()
    assert dict(manager.sessions) == {}


def test_each_try_of_a_stop_spares_what_an_iterator_named() -> None:
    assert StopOptions(spare=iter([4711])).spare == [4711]


def test_a_coroutine_function_needs_the_awaited_start(
    manager: SessionManager, server: Server
) -> None:
    with pytest.raises(TypeError, match="coroutine function"):
        manager.spawn_agent("a", server.command, shutdown=server.ashut_down)


def test_a_stop_leaves_spared_processes_alone(
    manager: SessionManager, plant: Planter, tmp_path: Path
) -> None:
    def keeps(member: TreeMember) -> bool:
        return member.depth > 0

    session, tree = start(manager, plant, "a", POLITE, spare=keeps)
    result = manager.stop_agent("a")
    assert (result.success, result.method) == (True, "terminated")
    assert not tree.all_dead()
    assert result.kill
    assert [outcome.fate for outcome in result.kill.outcomes] == ["spared", "terminated"]
    assert session.state == "stopped"
    assert files(tmp_path) == set()
    assert kill_tree(tree.pids["child"], grace=0).ok
    assert tree.all_dead()


def close_input(session: Session) -> None:
    assert session.process
    assert session.process.stdin
    session.process.stdin.close()
