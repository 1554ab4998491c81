"""Real: the command line on Windows: code pages, pipes, keys, and paths with spaces."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.nodes import Node, chain
from support.socket_planter import SocketPlanter
from support.times import BOUND

pytestmark = pytest.mark.needs("console events")

COMMAND = [sys.executable, "-m", "proctree_kill"]
GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
CTRL_BREAK = getattr(signal, "CTRL_BREAK_EVENT", 0)
PATIENCE = "60"  # seconds of grace; never pass in full
ENGLISH, CYRILLIC = "cp437", "cp866"  # code pages of consoles: in neither is all of what is printed


def invoke(*arguments: object, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, with its output in pipes."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=BOUND,
        env={**os.environ, **env},
    )


@pytest.mark.parametrize("page", [ENGLISH, CYRILLIC, "ascii"])
def test_a_poor_code_page_has_all_that_is_printed(tmp_path: Path, page: str) -> None:
    program = tmp_path / "grün 木.exe"
    shutil.copy(Path(os.environ["SYSTEMROOT"], "System32", "ping.exe"), program)
    with subprocess.Popen(
        [str(program), "-n", "1000", "127.0.0.1"], stdout=subprocess.DEVNULL
    ) as root:
        tree = invoke("tree", root.pid, PYTHONIOENCODING=f"{page}:strict")
        done = invoke("kill", root.pid, "--force", PYTHONIOENCODING=f"{page}:strict")
    for process in (tree, done):
        assert (process.returncode, process.stderr) == (0, b"")
        assert "gr" in process.stdout.decode(page)


def test_a_pipe_gets_no_colours(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root", "child"))
    done = invoke("kill", root.pid, "--force")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout
    assert planter.all_dead()


def test_json_reads_in_every_code_page(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root", "child"))
    done = invoke("kill", root.pid, "--force", "--json", PYTHONIOENCODING=CYRILLIC)
    said = json.loads(done.stdout.decode("ascii"))
    assert [outcome["fate"] for outcome in said["results"][0]["outcomes"]] == ["killed", "killed"]


def test_a_command_in_a_folder_with_a_space_is_run(tmp_path: Path) -> None:
    script = tmp_path / "a folder" / "say it.cmd"
    script.parent.mkdir()
    script.write_text("@echo off\necho [%~1]\nexit /b 7\n")
    done = invoke("run", "--", script, "two words")
    assert (done.returncode, done.stdout.split(b"\r\n")[0], done.stderr) == (7, b"[two words]", b"")


def test_the_time_of_a_command_is_over(planter: SocketPlanter) -> None:
    def by_us(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        ours = [*COMMAND, "run", "--timeout", "3", "--grace", "0", "--", *command]
        return subprocess.Popen(ours, **options)

    ours = planter.plant(chain("root", "child"), start=by_us)
    assert ours.wait(BOUND) == 124
    assert planter.all_dead()


def test_what_a_command_leaves_behind_is_ended(planter: SocketPlanter) -> None:
    def by_us(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*COMMAND, "run", "--grace", "0", "--", *command], **options)

    ours = planter.plant(Node(name="root", dies=True, children=(chain("left"),)), start=by_us)
    assert ours.wait(BOUND) == 0
    assert planter.all_dead()


def test_the_command_handles_ctrl_break_and_no_process_is_left(planter: SocketPlanter) -> None:
    def by_us(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        ours = [*COMMAND, "run", "--grace", PATIENCE, "--", *command]
        return subprocess.Popen(ours, creationflags=GROUP, **options)

    leaves = Node(name="root", on_term="exit", exit_code=7, children=(chain("child"),))
    ours = planter.plant(leaves, start=by_us)
    ours.send_signal(CTRL_BREAK)
    assert ours.wait(BOUND) == 7
    assert planter.all_dead()


def test_ctrl_break_while_a_tree_is_being_asked_forces(planter: SocketPlanter) -> None:
    stays = planter.plant(Node(name="root", on_term="ignore"), creationflags=GROUP)
    with subprocess.Popen(
        [*COMMAND, "kill", str(stays.pid), "--grace", PATIENCE, "--verbose"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        creationflags=GROUP,
    ) as ours:
        assert ours.stderr
        assert b"asked" in ours.stderr.readline()
        ours.send_signal(CTRL_BREAK)
        rest = ours.stderr.read()
    assert b"interrupted; forced, no process is left" in rest
    assert planter.all_dead()
