"""Real: what is shown while a grace passes, on a terminal of our own and in a pipe."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from proctree_kill import identify
from proctree_kill._cli.live_line import DRAW, ERASE
from support.nodes import Node, chain
from support.planter import Planter
from support.records import dead_owner, new_marker, write
from support.runs import HASTE, PATIENCE, RUN, STAY, STUBBORN
from support.terminal import Terminal

pytestmark = pytest.mark.needs("fork")

COMMAND = [sys.executable, "-m", "proctree_kill"]
DRAWN = re.escape(DRAW).replace(r"\{\}", "[^\x1b]*").replace("\\\r", "\r+")  # by a terminal
CLOCK = r"force in (\d+\.\d) s"
KEPT = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
ENV = {**KEPT, "TERM": "xterm-256color"}


def rest(terminal: Terminal) -> str:
    """Return the rest of the output as the command wrote it: a terminal adds carriage returns."""
    return terminal.rest().replace("\r\n", "\n")


def show(terminal: Terminal, *arguments: object, **env: str) -> None:
    """Run a command on the terminal."""
    terminal.run(*COMMAND, *map(str, arguments), env={**ENV, **env})


def test_the_clock_counts_down_and_ctrl_c_forces(terminal: Terminal, plant: Planter) -> None:
    tree = plant(STUBBORN)
    show(terminal, "kill", tree.root.pid, "--grace", PATIENCE)
    first = float(terminal.find(CLOCK))
    terminal.expect(" · Ctrl-C forces now")
    assert float(terminal.find(CLOCK)) < first < float(PATIENCE)
    terminal.type("\3")
    shown = rest(terminal)
    assert terminal.wait() == 130
    assert tree.all_dead()
    *_, last = shown.split(ERASE)
    assert last.startswith("\rproctree-kill: interrupted; forced, no process is left\n")


def test_the_clock_is_erased_before_the_table(terminal: Terminal, plant: Planter) -> None:
    tree = plant(STUBBORN)
    show(terminal, "kill", tree.root.pid, "--grace", PATIENCE, NO_COLOR="1")
    terminal.find(CLOCK)
    for pid in tree.pids.values():  # so the grace is over
        os.kill(pid, signal.SIGKILL)
    shown = rest(terminal)
    assert terminal.wait() == 0
    *_, after = shown.split(ERASE)
    assert "\x1b" not in after
    assert after.lstrip().startswith("PID")
    assert "2 terminated in " in after


def test_the_clock_is_shorter_on_a_narrow_terminal(terminal: Terminal, plant: Planter) -> None:
    tree = plant(STUBBORN)
    show(terminal, "kill", tree.root.pid, "--grace", PATIENCE, COLUMNS="40")
    drawn = DRAWN.replace("[^\x1b]*", r"(2 left · \d+\.\d s · Ctrl-C forces now)")
    assert terminal.find(drawn)
    terminal.type("\3")
    assert terminal.wait() == 130


def test_a_dumb_terminal_gets_lines_and_no_codes(terminal: Terminal, plant: Planter) -> None:
    tree = plant(STUBBORN)
    show(terminal, "kill", tree.root.pid, "--grace", HASTE, TERM="dumb")
    lines = rest(terminal).splitlines()
    assert lines[0] == f"proctree-kill: asked to exit; force in {HASTE} s"
    assert re.fullmatch(r"proctree-kill: force, 2 left after \d\.\d\d s", lines[1])
    assert lines[2].split()[:3] == ["PID", "NAME", "FATE"]
    assert "\x1b" not in "".join(lines)


def test_quiet_shows_no_clock(terminal: Terminal, plant: Planter) -> None:
    tree = plant(STUBBORN)
    show(terminal, "kill", tree.root.pid, "--grace", "0.5", "--quiet")
    assert rest(terminal) == ""
    assert tree.all_dead()


def test_verbose_shows_the_clock_below_the_events(terminal: Terminal, plant: Planter) -> None:
    tree = plant(STUBBORN)
    show(terminal, "kill", tree.root.pid, "--grace", PATIENCE, "-v")
    terminal.expect("asked to exit, 2 left\r\n")
    terminal.find(CLOCK)
    terminal.type("\3")
    assert "force, 2 left\n" in rest(terminal)
    assert terminal.wait() == 130


@pytest.mark.parametrize("verb", ["stop", "recover"])
def test_a_recovery_shows_the_clock(
    terminal: Terminal, plant: Planter, tmp_path: Path, verb: str
) -> None:
    marker = new_marker()
    tree = plant(STUBBORN, marker=marker)
    root = identify(tree.root.pid)
    write(tmp_path, "lost", owner=dead_owner(plant), identity=root, marker=marker)
    session = ["lost"] if verb == "stop" else []
    show(terminal, verb, tmp_path, *session, "--grace", PATIENCE)
    terminal.find(CLOCK)
    terminal.type("\3")
    assert "interrupted; forced, no process is left" in rest(terminal)
    assert terminal.wait() == 130
    assert tree.all_dead()


def test_the_clock_of_run_shows_linger_and_grace(terminal: Terminal) -> None:
    left = f"trap '' INT TERM; {STAY}"
    options = ["--linger", PATIENCE, "--grace", PATIENCE]
    terminal.run(*RUN, *options, "--", "sh", "-c", f"({left}) & exit 3", env=ENV)
    assert float(terminal.find(r"left, asked to exit in (\d+\.\d) s · Ctrl-C asks now"))
    terminal.type("\3")
    # On a line of its own; what changes may be drawn before and behind the end of that of the key.
    asking = "proctree-kill: asking all processes to exit within 60 s; "
    terminal.find(rf"\^C((?:{DRAWN})*\r\n(?:{DRAWN})*{asking})")
    terminal.find(CLOCK)
    terminal.type("\3")
    terminal.expect("proctree-kill: killing all processes")
    assert terminal.wait() == 130


def test_many_alike_processes_are_a_row_on_a_narrow_terminal(
    terminal: Terminal, plant: Planter
) -> None:
    tree = plant(Node(name="root", children=tuple(chain(f"child {n}") for n in range(5))))
    show(terminal, "tree", tree.root.pid, COLUMNS="40", NO_COLOR="1")
    assert re.search("1-5  └─ \\S+ \N{MULTIPLICATION SIGN}5 ", rest(terminal))
