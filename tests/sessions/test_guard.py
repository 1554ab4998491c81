"""Real: sessions whose manager's process dies, and those that have no guard."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proctree_kill import SessionManager, errors
from proctree_kill._containment import guard as guards
from support.agents import PATIENT, files
from support.owners import has_ended
from support.pipe_holders import PipeHolders

pytestmark = pytest.mark.needs("fork", "pidfd")

OWNER = """
import sys
from proctree_kill import SessionManager
from proctree_kill._containment.guard import guard
manager = SessionManager(sys.argv[1])
manager.spawn_agent("a", sys.argv[2:])
print(guard().pid, flush=True)
input()
"""

SPARING_OWNER = """
import sys
from proctree_kill import SessionManager
from proctree_kill._containment.guard import guard
manager = SessionManager(sys.argv[1])
manager.spawn_agent("a", sys.argv[2:], spare=lambda member: member.depth > 0)
print(guard().pid, flush=True)
input()
outcomes = manager.stop_agent("a").kill.outcomes
print(*[outcome.identity.pid for outcome in outcomes if outcome.fate == "spared"], flush=True)
input()
"""


@pytest.fixture
def holders(tmp_path: Path) -> Iterator[PipeHolders]:
    """Prepare a tree with a daemon that holds a pipe."""
    with PipeHolders(tmp_path) as holders:
        yield holders


def test_the_sessions_of_a_killed_manager_end_and_their_records_go(
    holders: PipeHolders, tmp_path: Path
) -> None:
    folder = tmp_path / "sessions"
    command = [sys.executable, "-c", OWNER, str(folder), *holders.argv()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        holders.await_started()
        guard = os.pidfd_open(int(owner.stdout.readline()))
        assert files(folder) == {"session_a.pid"}
        owner.kill()
    assert holders.all_dead()
    assert has_ended(guard)
    os.close(guard)
    assert files(folder) == set()


def test_what_a_stop_spared_outlives_the_manager(holders: PipeHolders, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SPARING_OWNER, str(tmp_path / "sessions"), *holders.argv()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdin
        assert owner.stdout
        holders.await_started()
        guard = os.pidfd_open(int(owner.stdout.readline()))
        owner.stdin.write(b"\n")
        owner.stdin.flush()
        spared = [os.pidfd_open(int(pid)) for pid in owner.stdout.readline().split()]
        owner.kill()
    assert has_ended(guard)
    living = [fd for fd in spared if not select.select([fd], [], [], 0)[0]]
    for fd in spared:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    assert len(living) == len(spared) == 2
    assert holders.all_dead()
    for fd in [guard, *spared]:
        os.close(fd)


@pytest.fixture
def no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let none start, and none run: that of an earlier test's tree may be there still."""
    monkeypatch.setattr(guards, "_guard", guards.Guard())
    monkeypatch.setattr(sys, "executable", "")


@pytest.mark.usefixtures("no_guard")
def test_where_no_guard_is_to_be_had_that_is_logged_and_the_session_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING, "proctree_kill"),
        SessionManager(tmp_path, policy=PATIENT) as manager,
    ):
        session = manager.spawn_agent("a", ["sleep", "1000"])
        manager.spawn_agent("b", ["sleep", "1000"])
        assert not session.process.containment.parent_exit
    assert caplog.text.count("sessions are recorded, but not guarded") == 1


@pytest.mark.usefixtures("no_guard")
def test_a_guard_that_was_asked_for_by_name_is_insisted_on(tmp_path: Path) -> None:
    with SessionManager(tmp_path, policy=PATIENT) as manager:
        with pytest.raises(errors.ContainmentError, match="needs a Python"):
            manager.spawn_agent("a", ["true"], kill_on_parent_exit=True)
        assert files(tmp_path) == set()


def test_a_manager_may_do_without(tmp_path: Path) -> None:
    with SessionManager(tmp_path, policy=PATIENT, guard=False) as manager:
        session = manager.spawn_agent("a", ["sleep", "1000"])
        assert not session.process.containment.parent_exit
