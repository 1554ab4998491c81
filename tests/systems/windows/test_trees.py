"""Real: what only Windows has: consoles, windows, wrappers, jobs, and numbers of dead parents."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from proctree_kill import Fate, kill_tree, snapshot_tree
from support.counts import KILLS_IN_A_ROW, SOAK_KILLS_IN_A_ROW
from support.forcing import forced_after
from support.nodes import Node, chain
from support.outcomes import fates
from support.socket_planter import SocketPlanter
from support.times import BOUND, PATIENCE

pytestmark = pytest.mark.needs("console events")

PAUSE = 5.0  # seconds of grace that pass in full; a helper program must start within them
GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
OWN_CONSOLE = getattr(subprocess, "CREATE_NEW_CONSOLE", 0)
SUSPENDED = 4
# STATUS_CONTROL_C_EXIT: the exit code of a process without a handler for CTRL_BREAK.
BROKEN = 0xC000013A
NODE = """
const start = () => require("child_process").spawn(
    process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit" });
for (let i = 0; i < 3; i++) start().on("spawn", () => console.log("up"));
setInterval(() => {}, 1000);
"""


def test_a_process_that_handles_ctrl_break_leaves_by_itself(planter: SocketPlanter) -> None:
    root = planter.plant(Node(name="root", on_term="exit", exit_code=7), creationflags=GROUP)
    result = kill_tree(root, grace=PATIENCE)
    [outcome] = result.outcomes
    assert (outcome.fate, outcome.signals, outcome.exit_code) == (
        Fate.TERMINATED,
        ("CTRL_BREAK",),
        7,
    )
    assert root.returncode == 7
    assert not result.forced


def test_a_process_without_a_handler_dies_of_ctrl_break(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root", "child"), creationflags=GROUP)
    result = kill_tree(root, grace=PATIENCE)
    assert fates(planter.pids, result) == {"root": Fate.TERMINATED, "child": Fate.TERMINATED}
    assert {outcome.exit_code for outcome in result.outcomes} == {BROKEN}


def test_a_process_that_ignores_ctrl_break_is_killed_after_the_grace(
    planter: SocketPlanter,
) -> None:
    root = planter.plant(Node(name="root", on_term="ignore"), creationflags=GROUP)
    result = kill_tree(root, grace=PAUSE)
    [outcome] = result.outcomes
    assert outcome.fate is Fate.KILLED
    assert outcome.signals == ("CTRL_BREAK", "NtSuspendProcess", "TerminateProcess")
    assert (outcome.seconds or 0) >= PAUSE


def test_a_process_in_our_own_group_is_not_asked_and_costs_no_grace(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root", "child"))
    result = kill_tree(root, grace=1000)
    assert planter.all_dead()
    for outcome in result.outcomes:
        assert outcome.fate is Fate.KILLED
        assert outcome.detail == "it could not be asked: it is in the caller's own console group"


def test_a_group_with_a_spared_process_in_it_is_not_asked(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root", "spared"), creationflags=GROUP)
    result = kill_tree(root, grace=PATIENCE, spare=[planter.pids["spared"]])
    assert fates(planter.pids, result) == {"root": Fate.KILLED, "spared": Fate.SPARED}
    assert "has others in it" in str(result.root and result.root.detail)
    assert [process.pid for process in planter.living()] == [planter.pids["spared"]]


def test_a_group_within_the_tree_is_asked_by_itself(planter: SocketPlanter) -> None:
    inner = Node(name="inner", on_term="exit", exit_code=7, flags=GROUP)
    root = planter.plant(Node(name="root", children=(inner,)))
    with forced_after([planter.pids["inner"]]):
        result = kill_tree(root, grace=PATIENCE)
    assert fates(planter.pids, result) == {"root": Fate.KILLED, "inner": Fate.TERMINATED}


def test_a_child_with_its_own_console_is_ended_and_its_host_leaves(planter: SocketPlanter) -> None:
    root = planter.plant(
        Node(name="root", children=(Node(name="own", flags=OWN_CONSOLE),)),
    )
    hosts = [
        child
        for child in psutil.Process(planter.pids["own"]).children()
        if child.name() == "conhost.exe"
    ]
    result = kill_tree(root, grace=PATIENCE)
    assert planter.all_dead()
    assert fates(planter.pids, result).keys() == {"root", "own"}
    for host in hosts:
        host.wait(BOUND)


def test_the_host_of_our_own_console_is_not_among_our_children(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root"))
    snapshot = snapshot_tree(os.getpid(), include_root=False)
    assert root.pid in {member.identity.pid for member in snapshot.members}
    assert "conhost.exe" not in {member.name for member in snapshot.members}


@pytest.mark.needs("notepad")
def test_a_window_is_closed() -> None:
    from proctree_kill._systems.windows import console  # noqa: PLC0415 - not on every system

    with subprocess.Popen(["notepad.exe"]) as notepad:
        while notepad.pid not in console.owners_of_windows():
            assert notepad.poll() is None
        result = kill_tree(notepad, grace=PATIENCE)
    [outcome] = result.outcomes
    assert (outcome.fate, outcome.signals, outcome.exit_code) == (Fate.TERMINATED, ("WM_CLOSE",), 0)


def test_a_shell_and_what_it_started_are_ended(planter: SocketPlanter) -> None:
    def by_shell(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(subprocess.list2cmdline(command), shell=True, **options)  # noqa: S602 - a shell is the point

    root = planter.plant(chain("node", "below"), start=by_shell)
    result = kill_tree(root, grace=0)
    assert planter.all_dead()
    assert fates(planter.pids, result) == dict.fromkeys(("cmd.exe", "node", "below"), Fate.KILLED)


def test_a_batch_file_in_a_folder_with_a_space_is_ended(
    planter: SocketPlanter, tmp_path: Path
) -> None:
    script = tmp_path / "a folder" / "start it.cmd"
    script.parent.mkdir()

    def by_script(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        *start, description = command
        quoted = description.replace("%", "%%")
        script.write_text(f"@echo off\n{subprocess.list2cmdline([*start, quoted])}\n")
        return subprocess.Popen([str(script)], **options)

    root = planter.plant(chain("node", "below"), start=by_script)
    result = kill_tree(root, grace=0)
    assert planter.all_dead()
    assert fates(planter.pids, result) == dict.fromkeys(("cmd.exe", "node", "below"), Fate.KILLED)


@pytest.mark.needs("node")
def test_node_and_its_children_are_ended() -> None:
    node = shutil.which("node") or "node"
    command = [node, "-e", NODE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, creationflags=GROUP) as root:
        assert root.stdout
        for _ in range(3):
            assert root.stdout.readline() == b"up\n"
        result = kill_tree(root, grace=0)
        assert root.stdout.read() == b""  # every process that held it is dead
    assert len(result.outcomes) == 4
    assert {outcome.fate for outcome in result.outcomes} == {Fate.KILLED}


def test_the_children_of_a_dead_root_that_is_still_held_are_found(planter: SocketPlanter) -> None:
    root = planter.plant(Node(name="root", dies=True, children=(chain("orphan", "below"),)))
    result = kill_tree(root, grace=PATIENCE)
    assert planter.all_dead()
    found = fates(planter.pids, result)
    assert found.pop("root") in (Fate.ALREADY_GONE, Fate.TERMINATED)
    assert found == {"orphan": Fate.KILLED, "below": Fate.KILLED}


def test_what_a_dead_root_left_in_its_group_is_asked(planter: SocketPlanter) -> None:
    left = Node(name="left", on_term="exit", exit_code=7)
    root = planter.contained(Node(name="root", dies=True, children=(left,)))
    outcome = root.stop(grace=PATIENCE).outcomes[0]
    assert (outcome.fate, outcome.signals, outcome.exit_code) == (
        Fate.TERMINATED,
        ("CTRL_BREAK",),
        7,
    )
    assert planter.all_dead()


def test_a_branch_whose_middle_leaves_when_it_is_asked_is_ended(planter: SocketPlanter) -> None:
    middle = Node(
        name="middle", on_term="exit", exit_code=7, flags=GROUP, children=(chain("below"),)
    )
    root = planter.plant(Node(name="root", children=(middle,)))
    result = kill_tree(root, grace=0.2)
    assert planter.all_dead()
    assert fates(planter.pids, result).keys() == {"root", "middle", "below"}


def test_thirty_at_once_are_ended(planter: SocketPlanter) -> None:
    names = [f"child-{number}" for number in range(30)]
    root = planter.plant(Node(name="root", children=tuple(chain(name) for name in names)))
    result = kill_tree(root, grace=0)
    assert planter.all_dead()
    assert fates(planter.pids, result) == dict.fromkeys((*names, "root"), Fate.KILLED)


def test_a_suspended_process_is_ended() -> None:
    command = [sys.executable, "-c", "pass"]
    with subprocess.Popen(command, creationflags=SUSPENDED) as root:
        result = kill_tree(root, grace=PATIENCE)
        assert root.returncode == 1
    assert [outcome.fate for outcome in result.outcomes] == [Fate.KILLED]


@pytest.mark.parametrize(
    "times", [KILLS_IN_A_ROW, pytest.param(SOAK_KILLS_IN_A_ROW, marks=pytest.mark.soak)]
)
def test_many_kills_in_a_row_leak_no_handle(times: int) -> None:
    def kill() -> None:
        with subprocess.Popen([sys.executable], creationflags=SUSPENDED) as root:
            assert kill_tree(root, grace=0).ok

    kill()  # loads what is loaded once
    ours: Any = psutil.Process()  # num_handles exists on Windows only
    before = ours.num_handles()
    for _ in range(times):
        kill()
    assert ours.num_handles() <= before
