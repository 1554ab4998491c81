"""Real: sessions on every system: a start, a stop, an exit, a crash of the owner, a recovery."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from proctree_kill import KillPolicy, Session, SessionManager, errors, recover
from support.agents import files
from support.listener import Listener

POLICY = KillPolicy(grace=0.5)
CHILD = "import time; print('up', flush=True); time.sleep(1000)"
AGENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
OWNER = """
import os, sys
from proctree_kill import SessionManager
session = SessionManager(sys.argv[1], guard=False).spawn_agent("a", [sys.executable, "-c", *sys.argv[2:]])
sys.stdin.readline()
os._exit(0)
"""


def start(manager: SessionManager) -> Session:
    """Start an agent with a child; return when the child is there."""
    session = manager.spawn_agent("a", [sys.executable, "-c", AGENT, CHILD], stdout=subprocess.PIPE)
    assert session.process
    assert session.process.stdout
    with session.process.stdout as said:
        assert said.readline().split() == [b"up"]
    return session


def test_a_session_is_stopped_with_its_child(tmp_path: Path) -> None:
    listener = Listener()
    manager = SessionManager(tmp_path, policy=POLICY, event_broadcaster=listener)
    session = start(manager)
    assert files(tmp_path) == {"session_a.pid"}
    result = manager.stop_agent("a")
    assert result.success
    assert result.kill
    assert len(result.kill.outcomes) >= 2
    assert not result.kill.survivors
    assert session.exit_code is not None
    assert files(tmp_path) == set()
    listener.wait("stopped")
    assert listener.names() == ["started", "stopping", "stopped"]


def test_an_agent_that_leaves_is_noticed(tmp_path: Path) -> None:
    listener = Listener()
    manager = SessionManager(tmp_path, policy=POLICY, event_broadcaster=listener)
    session = manager.spawn_agent("a", [sys.executable, "-c", "raise SystemExit(3)"])
    listener.wait("exited")
    assert session.exit_code == 3
    assert files(tmp_path) == set()


def test_an_id_that_cannot_be_a_name_of_a_file_starts_nothing(tmp_path: Path) -> None:
    for name in ("../x", "", "x" * 300, "a\0", "CON", "a."):
        try:
            SessionManager(tmp_path).spawn_agent(name, [sys.executable, "-c", ""])
        except errors.SessionError:
            continue
        raise AssertionError(name)
    assert files(tmp_path) == set()


def test_what_a_dead_owner_left_is_recovered(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), AGENT, CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout
        assert owner.stdout.readline().split() == [b"up"]  # the child of the agent
        assert recover(tmp_path, policy=POLICY).summary() == "1 owned"
        assert owner.stdin
        owner.stdin.close()
        owner.wait()
        report = recover(tmp_path, policy=POLICY)
    assert report.summary() == "1 reaped"
    assert files(tmp_path) == set()
