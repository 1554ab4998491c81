"""Real: TreePopen and run on every system, Windows as well."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import Containment, Fate, TreePopen, arun, kill_tree, run
from support.forcing import forced_after
from support.nodes import Node, chain
from support.outcomes import fates
from support.readiness import await_in_starts, has_made
from support.socket_planter import SocketPlanter
from support.times import BOUND, PATIENCE

CTRL_BREAK = getattr(signal, "CTRL_BREAK_EVENT", 0)
TIME = 0.3  # seconds after which a command that never ends is ended; it has said all by then
GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
OWN_CONSOLE = getattr(subprocess, "CREATE_NEW_CONSOLE", 0)
PYTHON = [sys.executable, "-I", "-S", "-c"]
# Starts a process that holds the pipes.
HOLDER = "import sys, subprocess; subprocess.Popen([sys.executable, '-I', '-S', '-c', {!r}]);"
STAY = "import time; time.sleep(1000)"
SAY = "print('said', flush=True);"
MAKE = "open({!r}, 'x').close();"
INTERRUPTED = """
import signal, sys
from proctree_kill import TreePopen
signal.signal(signal.SIGBREAK, signal.default_int_handler)
try:
    with TreePopen(sys.argv[1:]) as process:
        process.wait()
except KeyboardInterrupt:
    sys.exit(5)
"""


def test_a_tree_is_asked_and_leaves(planter: SocketPlanter) -> None:
    root = planter.contained(chain("root", "child", "below"))
    assert fates(planter.pids, root.stop(grace=PATIENCE)) == dict.fromkeys(
        ("root", "child", "below"), Fate.TERMINATED
    )
    assert planter.all_dead()
    assert root.returncode is not None


def test_a_process_that_does_not_leave_is_killed_after_the_grace(planter: SocketPlanter) -> None:
    root = planter.contained(
        Node(
            name="root",
            on_term="ignore",
            children=(Node(name="child", on_term="exit", exit_code=7),),
        )
    )
    with forced_after([planter.pids["child"]]):
        result = root.stop(grace=PATIENCE)
    assert fates(planter.pids, result) == {"root": Fate.KILLED, "child": Fate.TERMINATED}
    assert planter.all_dead()


def test_an_orphan_whose_middle_died_is_found_by_the_marker(planter: SocketPlanter) -> None:
    middle = Node(name="middle", dies=True, children=(chain("orphan", "below"),))
    root = planter.contained(Node(name="root", children=(middle,)))
    found = fates(planter.pids, root.stop(grace=PATIENCE))
    assert planter.all_dead()
    assert {"root", "orphan", "below"} <= found.keys()


def test_what_a_reaped_root_left_is_ended(planter: SocketPlanter) -> None:
    root = planter.contained(Node(name="root", dies=True, children=(chain("orphan", "below"),)))
    assert root.wait(BOUND) == 0
    assert {"orphan", "below"} <= fates(planter.pids, root.stop(grace=PATIENCE)).keys()
    assert planter.all_dead()


def test_what_the_root_left_is_ended_at_the_end_of_the_block(planter: SocketPlanter) -> None:
    with planter.contained(Node(name="root", dies=True, children=(chain("orphan", "below"),))):
        pass
    assert planter.all_dead()


def test_an_exception_in_the_block_ends_the_tree_at_once(planter: SocketPlanter) -> None:
    root = planter.contained(chain("root", "child"))
    with pytest.raises(LookupError), root:
        raise LookupError
    assert planter.all_dead()
    assert root.returncode is not None


@pytest.mark.parametrize("way", [TreePopen.terminate, TreePopen.kill], ids=["ask", "force"])
def test_a_signal_to_the_tree_reaches_all_of_it(
    planter: SocketPlanter, way: Callable[[TreePopen[bytes]], None]
) -> None:
    root = planter.contained(chain("root", "child", "below"))
    with root:
        way(root)
        assert planter.all_dead()


@pytest.mark.needs("console events")
def test_without_a_polite_way_a_request_is_force(planter: SocketPlanter) -> None:
    root = planter.contained(chain("root", "child"), start_new_session=False)
    root.terminate()
    assert planter.all_dead()
    assert root.wait(BOUND) == 1


@pytest.mark.needs("console events")
def test_the_flags_of_the_caller_are_kept(planter: SocketPlanter) -> None:
    root = planter.contained(chain("root"), creationflags=OWN_CONSOLE)
    result = root.stop(grace=PATIENCE)
    assert planter.all_dead()
    assert "share the caller's console" in str(result.root and result.root.detail)


def test_a_timeout_of_communicate_leaves_the_tree_alone(planter: SocketPlanter) -> None:
    root = planter.contained(chain("root", "child"), stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        root.communicate(timeout=0.1)
    assert root.poll() is None
    assert len(planter.living()) == 2
    root.stop(grace=0)
    assert root.communicate(timeout=BOUND)[0] == b""


def test_what_another_spawner_started_is_contained(planter: SocketPlanter) -> None:
    contained = Containment.prepare()
    root = planter.plant(
        Node(name="root", dies=True, children=(chain("orphan"),)), **contained.popen_kwargs()
    )
    contained.attach(root)
    assert kill_tree(contained, grace=PATIENCE).ok
    assert planter.all_dead()


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return code that says a word and stays, as its child does; no time begins before that."""
    path = tmp_path / "up"
    await_in_starts(monkeypatch, has_made(path))
    return HOLDER.format(STAY) + SAY + MAKE.format(str(path)) + STAY


def test_a_timeout_ends_the_whole_tree_and_returns_what_was_said(script: str) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as expired:
        run([*PYTHON, script], timeout=TIME, capture_output=True)
    assert (expired.value.stdout or b"").split() == [b"said"]


def test_an_awaited_timeout_ends_the_whole_tree(script: str) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as expired:
        asyncio.run(arun([*PYTHON, script], timeout=TIME, capture_output=True))
    assert (expired.value.stdout or b"").split() == [b"said"]


def test_a_grandchild_that_holds_the_pipes_delays_no_caller() -> None:
    done = run([*PYTHON, HOLDER.format(STAY) + SAY], capture_output=True)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [b"said"], b"")


def test_input_output_and_exit_code_are_those_of_subprocess() -> None:
    script = "import sys; print(sys.stdin.read().upper()); print('e', file=sys.stderr); sys.exit(3)"
    for function in (subprocess.run, run):
        done = function([*PYTHON, script], input="in", capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (3, "IN\n", "e\n")


@pytest.mark.needs("console events")
def test_ctrl_break_ends_a_wait_and_the_tree(planter: SocketPlanter) -> None:
    def by_owner(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        script = [sys.executable, "-c", INTERRUPTED, *command]
        return subprocess.Popen(script, creationflags=GROUP, **options)

    owner = planter.plant(chain("root", "child"), start=by_owner)
    owner.send_signal(CTRL_BREAK)
    assert owner.wait(BOUND) == 5
    assert planter.all_dead()
