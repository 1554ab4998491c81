"""Real: sessions, their records and recovery on every system, Windows as well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import KillPolicy, SessionManager, identify, recover
from support.listener import Listener
from support.nodes import Node, chain
from support.socket_planter import SocketPlanter, Start
from support.times import BOUND, LONG

# The grace never passes in full: it ends when the last process has left.
PATIENT = KillPolicy(grace=10)
# Starts a session; it is killed, or is gone before the root exits, which it would notice.
OWNER = """
import os, sys, time
from proctree_kill import SessionManager
manager = SessionManager(sys.argv[1], guard=False)
session = manager.spawn_agent("a", sys.argv[3:])
time.sleep(int(sys.argv[2]))
os._exit(0)
"""


def session_of(manager: SessionManager, name: str) -> Start:
    """Return what starts a tree as a session of this name."""

    def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = manager.spawn_agent(name, command, **options).process
        return process

    return start


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_session_from_its_start_to_its_end(planter: SocketPlanter, tmp_path: Path) -> None:
    manager = SessionManager(tmp_path / "a folder", policy=PATIENT)
    root = planter.plant(chain("root", "child"), start=session_of(manager, "a"))
    assert manager.sessions["a"].identity == identify(root.pid)
    assert files(manager.directory) == {"session_a.pid"}
    result = manager.stop_agent("a")
    assert (result.success, result.method, result.error) == (True, "terminated", None)
    assert planter.all_dead()
    assert files(manager.directory) == set()
    assert dict(manager.sessions) == {}


@pytest.mark.parametrize(
    # In Wine a Python that sleeps uses over 2 % of a core.
    "name",
    ["max_lifetime", pytest.param("idle_timeout", marks=pytest.mark.needs("fork"))],
)
def test_a_session_whose_time_is_over_is_stopped(
    tmp_path: Path, listener: Listener, name: str
) -> None:
    agent = [sys.executable, "-I", "-S", "-c", f"import time; time.sleep({LONG})"]
    limit: Any = {name: 0.3}
    with SessionManager(tmp_path, policy=PATIENT, event_broadcaster=listener) as manager:
        session = manager.spawn_agent("a", agent, **limit)
        assert listener.wait("timed_out").reason == name
        assert listener.wait("stopped").method == "timed_out"
        assert session.process.poll() is not None
        assert files(manager.directory) == set()


def test_leaving_the_block_stops_every_session(planter: SocketPlanter, tmp_path: Path) -> None:
    with SessionManager(tmp_path, policy=PATIENT) as manager:
        for name in ("a", "b"):
            planter.plant(chain(f"root-{name}", f"child-{name}"), start=session_of(manager, name))
    assert planter.all_dead()
    assert files(tmp_path) == set()


def test_an_orphan_of_a_session_is_ended_with_it(planter: SocketPlanter, tmp_path: Path) -> None:
    manager = SessionManager(tmp_path, policy=PATIENT)
    middle = Node(name="middle", dies=True, children=(chain("orphan"),))
    planter.plant(Node(name="root", children=(middle,)), start=session_of(manager, "a"))
    assert manager.stop_agent("a").success
    assert planter.all_dead()


@pytest.mark.parametrize("dies", [False, True], ids=["living root", "dead root"])
def test_what_a_killed_owner_left_is_recovered(
    planter: SocketPlanter, tmp_path: Path, *, dies: bool
) -> None:
    life = 0 if dies else LONG

    def by_owner(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", OWNER, str(tmp_path), str(life), *command]
        owner = subprocess.Popen(argv, **options)
        if dies:
            owner.wait(BOUND)
        return owner

    owner = planter.plant(
        Node(name="root", dies=dies, children=(chain("child", "below"),)), start=by_owner
    )
    if not dies:
        assert [outcome.fate for outcome in recover(tmp_path).outcomes] == ["owned"]
        owner.kill()
    owner.wait(BOUND)
    assert [outcome.fate for outcome in recover(tmp_path, dry_run=True).outcomes] == ["ended"]
    assert len(planter.living()) == (2 if dies else 3)
    report = recover(tmp_path, policy=PATIENT)
    assert [outcome.fate for outcome in report.outcomes] == ["ended"]
    assert planter.all_dead()
    assert files(tmp_path) == set()


def test_a_record_of_another_process_touches_nothing(
    planter: SocketPlanter, tmp_path: Path
) -> None:
    manager = SessionManager(tmp_path, policy=PATIENT)
    planter.plant(chain("root"), start=session_of(manager, "a"))
    record = tmp_path / "session_a.pid"
    text = record.read_text(encoding="utf-8")
    manager.stop_all()
    assert planter.all_dead()
    other = planter.plant(chain("other"))
    record.write_text(text.replace(text.split("\n", 1)[0], str(other.pid)), encoding="utf-8")
    assert [outcome.fate for outcome in recover(tmp_path).outcomes] != ["ended"]
    assert len(planter.living()) == 1
