"""Real: the command line on Windows: code pages, pipes, keys, and paths with spaces."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import proctree_kill
from proctree_kill import Fate, KillPolicy, KillResult, TreePopen
from proctree_kill._cli.command_run import CommandRun
from proctree_kill._cli.run import start
from proctree_kill._cli.signals import signal_queue
from proctree_kill._spawn.leftovers import Leftovers
from proctree_kill._spawn.time_limit import TimeLimit
from proctree_kill._systems import terminal as own_terminal
from support.nodes import Node, chain
from support.socket_planter import SocketPlanter
from support.times import BOUND

pytestmark = pytest.mark.needs("console events")

COMMAND = [sys.executable, "-m", "proctree_kill"]
BARE = [sys.executable, "-I", "-S", "-c"]  # starts fast
GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
CTRL_BREAK = getattr(signal, "CTRL_BREAK_EVENT", 0)
PATIENCE = "60"  # seconds of grace; never pass in full
OWN_CONSOLE = 0x08000000  # CREATE_NO_WINDOW: a console that is not shown
TYPIST = Path(__file__).parents[1] / "support" / "typist.py"
CATCHES_CTRL_C = """
import time
try:
    print("ready", flush=True)
    time.sleep(1000)
except KeyboardInterrupt:
    raise SystemExit(9)
"""
READS_A_LINE = """
import sys
print("ready", flush=True)
print("read", sys.stdin.readline(), flush=True)
"""
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


def test_the_time_of_a_command_is_over() -> None:
    sleeps = [*BARE, "import time; time.sleep(1000)"]
    assert invoke("run", "--timeout", "0.5", "--grace", "0", "--", *sleeps).returncode == 124


def test_what_a_command_leaves_behind_is_ended(planter: SocketPlanter) -> None:
    def by_us(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*COMMAND, "run", "--grace", "0", "--", *command], **options)

    ours = planter.plant(Node(name="root", dies=True, children=(chain("left"),)), start=by_us)
    assert ours.wait(BOUND) == 0
    assert planter.all_dead()


def test_ctrl_break_asks_the_command_and_no_process_is_left(planter: SocketPlanter) -> None:
    def by_us(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        ours = [*COMMAND, "run", "--verbose", "--grace", PATIENCE, "--", *command]
        return subprocess.Popen(ours, creationflags=GROUP, stderr=subprocess.PIPE, **options)

    leaves = Node(name="root", on_term="exit", exit_code=7, children=(chain("child"),))
    with planter.plant(leaves, start=by_us) as ours:
        ours.send_signal(CTRL_BREAK)
        assert ours.stderr
        said = ours.stderr.read()
    assert ours.returncode == 128 + signal.Signals["SIGBREAK"]
    assert b"proctree-kill: SIGBREAK came" in said
    assert re.search(rb"terminated +CTRL_BREAK +7 ", said)
    assert planter.all_dead()


def finish(planter: SocketPlanter, node: Node, timeout: float | None) -> KillResult | None:
    """Run a tree as the command does; its time begins when all of it has started."""
    with own_terminal() as terminal, signal_queue(()) as signals:
        process = planter.plant(
            node, start=lambda command, **options: start(command, terminal, **options)
        )
        assert isinstance(process, TreePopen)
        leftovers = Leftovers.read("end", 0, None, kill_on_parent_exit=False)
        policy = KillPolicy(grace=float(PATIENCE))
        limit = TimeLimit(math.inf if timeout is None else time.monotonic() + timeout)
        command = CommandRun(process, policy, leftovers, signals, terminal, limit=limit, say=print)
        return command.finish()


def test_a_command_whose_time_is_over_is_asked(planter: SocketPlanter) -> None:
    leaves = Node(name="root", on_term="exit", children=(Node(name="child", on_term="exit"),))
    result = finish(planter, leaves, timeout=0)
    assert result is not None
    for outcome in result.outcomes:
        assert (outcome.fate, outcome.signals) == (Fate.TERMINATED, ("CTRL_BREAK",))
    assert planter.all_dead()


def test_what_a_command_leaves_behind_is_asked(planter: SocketPlanter) -> None:
    left = Node(name="left", on_term="exit", exit_code=7)
    result = finish(planter, Node(name="root", dies=True, children=(left,)), timeout=None)
    assert result is not None
    asked = [outcome for outcome in result.outcomes if outcome.fate is not Fate.ALREADY_GONE]
    assert [(outcome.signals, outcome.exit_code) for outcome in asked] == [(("CTRL_BREAK",), 7)]
    assert planter.all_dead()


def test_a_command_that_cannot_be_started_is_named() -> None:
    done = invoke("run", "--", "no such program")
    assert (done.returncode, done.stdout) == (127, b"")
    assert done.stderr.startswith(b"proctree-kill: cannot run 'no such program': ")


def test_a_code_beyond_31_bits_is_passed_on() -> None:
    done = invoke("run", "--", *BARE, "import os; os._exit(0xC000013A - 2**32)")
    assert done.returncode == 0xC000013A


def type_at(texts: list[str], *command: str, flags: int = 0, stdin: str = "") -> list[str]:
    """Run a command in a console of its own, where Ctrl-C is typed when it writes these texts."""
    typist = [sys.executable, "-I", "-S", str(TYPIST), json.dumps(texts), str(flags), *command]
    done = subprocess.run(
        typist,
        input=stdin,
        capture_output=True,
        check=True,
        creationflags=OWN_CONSOLE,
        text=True,
        timeout=BOUND,
        env={**os.environ, "PYTHONPATH": str(Path(proctree_kill.__file__).parents[1])},
    )
    return done.stdout.splitlines()


def test_ctrl_c_that_is_typed_reaches_the_command() -> None:
    ours = [*COMMAND, "run", "--", *BARE, CATCHES_CTRL_C]
    assert type_at(["ready"], *ours) == ["ready", "exit code 9"]


def test_ctrl_c_that_was_switched_off_stays_off() -> None:
    ours = [*COMMAND, "run", "--", *BARE, READS_A_LINE]
    said = type_at(["ready"], *ours, flags=GROUP, stdin="a line\n")
    assert said == ["ready", "read a line", "", "exit code 0"]


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


class TestInput:
    """Real: ``run --die-with-stdin``."""

    RUN = (*COMMAND, "run", "--die-with-stdin")
    COPY = "import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"
    STAY = "import time; print('there', flush=True); time.sleep(1000)"

    def test_without_an_input_nothing_is_started(self) -> None:
        done = subprocess.run(
            [*self.RUN, "--", "cmd", "/c", "echo started"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=BOUND,
        )
        assert (done.returncode, done.stdout) == (125, b"")
        assert done.stderr.startswith(b"proctree-kill: standard input is at its end")

    def test_each_byte_arrives(self) -> None:
        data = os.urandom(1 << 20)
        done = subprocess.run(
            [*self.RUN, "--linger", PATIENCE, "--", *BARE, self.COPY],
            input=data,
            capture_output=True,
            check=False,
            timeout=BOUND,
        )
        assert (done.returncode, done.stdout == data, done.stderr) == (0, True, b"")

    @pytest.mark.parametrize(
        ("program", "code"),
        [(STAY, 123), ("print('there', flush=True); raise SystemExit(len(input()))", 7)],
        ids=["the input ends", "the input goes on"],
    )
    def test_an_end(self, program: str, code: int) -> None:
        with subprocess.Popen(
            [*self.RUN, "--linger", "0", "--force", "--", *BARE, program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as command:
            assert command.stdin
            assert command.stdout
            assert command.stdout.readline() == b"there\r\n"
            if code == 7:
                command.stdin.write(b"a word!\r\n")
                command.stdin.flush()
                assert command.wait(BOUND) == code
            assert command.communicate(timeout=BOUND)[0] == b""
        assert command.returncode == code
