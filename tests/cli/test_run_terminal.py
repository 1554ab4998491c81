"""Seam: a terminal. Real: commands of ``run`` on a terminal of our own."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from proctree_kill._cli import main
from proctree_kill._systems.contract import Launch
from proctree_kill._systems.windows.terminal import ConsoleTerminal
from support.planter import Planter
from support.runs import HASTE, PATIENCE, RUN, STAY, STUBBORN
from support.terminal import Terminal

# Waits for Ctrl-C, and then asks for its exit code on the terminal.
ASKING = """
import time
try:
    print("waiting", flush=True)
    time.sleep(1000)
except KeyboardInterrupt:
    print("interrupted", flush=True)
raise SystemExit(int(input()))
"""


# Hears Ctrl-C and goes on, until it reads the key q.
READING_KEYS = """
import os, signal, tty
signal.signal(signal.SIGINT, lambda *_: os.write(1, b"heard"))
tty.setcbreak(0)
os.write(1, b"there")
while os.read(0, 1) != b"q":
    pass
raise SystemExit(5)
"""
# Sets raw mode once a command runs, lets that die, and fails if the end of run changes the modes.
FRONT = """
import os, subprocess, sys, termios, tty
if sys.argv[1:]:
    null = subprocess.DEVNULL
    subprocess.Popen(sys.argv[1:], stdin=null, stdout=null, close_fds=False)
    os.close(9)
open("up").read()
alive = os.open("alive", os.O_RDONLY | os.O_NONBLOCK)
tty.setraw(1)
raw = termios.tcgetattr(1)
os.set_blocking(alive, True)
open("go", "w").close()
os.read(alive, 1)
raise SystemExit(termios.tcgetattr(1) != raw)
"""


def test_a_console_reaches_every_process() -> None:
    with ConsoleTerminal() as console:
        assert console
        assert console.reaches(os.getpid())


@pytest.mark.needs("fork")
def test_a_prompt_that_ctrl_c_led_back_to_makes_the_next_one_a_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seam: the terminal is in raw mode when it is looked at after the first key."""
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)  # noqa: FBT003 - its name is positional

    class Prompting(ConsoleTerminal):
        asked = itertools.count()

        @contextmanager
        def starting(self, command: Sequence[str]) -> Iterator[Launch]:
            yield Launch(command, new_session=False)

        @property
        def is_canonical(self) -> bool:
            canonical = next(self.asked) != 1
            if not canonical:
                os.write(writing, b"raw\n")
            return canonical

    monkeypatch.setattr("proctree_kill._cli.run.own_terminal", Prompting)
    monkeypatch.setattr("proctree_kill._cli.keys.LOOK_TIME", 0.0)
    press = "kill -INT $PPID"
    script = f"trap '' TERM; {press}; read line </dev/fd/{reading}; {press}; exit 5"
    with os.fdopen(reading), os.fdopen(writing):
        assert main(["run", "--", "sh", "-c", script]) == 5


@pytest.mark.needs("fork")
class TestTerminal:
    """Real: a terminal of our own, on which the command is the foreground job."""

    def test_the_command_handles_ctrl_c(self, terminal: Terminal) -> None:
        terminal.run(*RUN, "--", sys.executable, "-I", "-c", ASKING)
        terminal.expect("waiting")
        terminal.type("\3")
        terminal.expect("interrupted")
        terminal.type("5\r")
        assert terminal.wait() == 5

    @pytest.mark.needs("procfs")
    @pytest.mark.parametrize("grace", [HASTE, PATIENCE])
    def test_ctrl_c_ends_a_command_that_ignores_it(self, terminal: Terminal, grace: str) -> None:
        stay = "trap '' INT TERM; echo there; while :; do sleep 1000; done"
        terminal.run(*RUN, "--grace", grace, "--", "sh", "-c", stay)
        terminal.expect("there")
        terminal.press_ctrl_c()
        terminal.press_ctrl_c()
        terminal.expect(f"proctree-kill: asking all processes to exit within {grace} s; ")
        if grace == PATIENCE:
            terminal.press_ctrl_c()
            terminal.expect("proctree-kill: killing all processes")
        assert terminal.wait() == 130

    @pytest.mark.needs("pid namespace")
    @pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare(1)")
    def test_the_group_of_the_terminal_may_be_outside_the_pid_namespace(
        self, terminal: Terminal
    ) -> None:
        terminal.run("unshare", "--pid", "--fork", "--mount-proc", *RUN, "--", "sh", "-c", "exit 7")
        assert terminal.wait() == 7

    def test_in_raw_mode_each_ctrl_c_is_the_command_s(self, terminal: Terminal) -> None:
        terminal.run(*RUN, "--", sys.executable, "-I", "-c", READING_KEYS)
        terminal.expect("there")
        for _ in range(3):
            terminal.type("\3")
            terminal.expect("heard")
        terminal.type("q")
        assert terminal.wait() == 5

    @pytest.mark.parametrize("name", ["SEGV", "KILL"])
    @pytest.mark.parametrize("after", ["", "; exit $?"], ids=["command", "below a shell"])
    def test_the_modes_are_restored_when_a_signal_ended_the_command(
        self, terminal: Terminal, name: str, after: str
    ) -> None:
        before = terminal.modes()
        raw = f"sh -c 'stty raw -echo; kill -{name} $$'{after}"
        terminal.run(*RUN, "--", "sh", "-c", raw)
        assert terminal.wait() == 128 + getattr(signal, f"SIG{name}")
        assert terminal.modes() == before

    def test_the_modes_are_restored_when_what_was_left_is_killed(self, terminal: Terminal) -> None:
        before = terminal.modes()
        left = "stty raw -echo; sleep 1000 & exit 0"
        terminal.run(*RUN, "--linger", "0", "--force", "--", "sh", "-c", left)
        assert terminal.wait() == 0
        assert terminal.modes() == before

    def test_modes_that_a_command_leaves_on_purpose_stay(self, terminal: Terminal) -> None:
        before = terminal.modes()
        terminal.run(*RUN, "--", "stty", "-echo")
        assert terminal.wait() == 0
        assert terminal.modes() != before

    @pytest.mark.parametrize(
        "script",
        [
            "{run} 9<>alive & {front}",
            "{run} 9<>alive & exec {front}",
            "{run} 9<>alive | {front}",
            "exec 9<>alive; exec {front} {run}",
        ],
        ids=["in the background", "then replaced", "in a pipeline", "as a server"],
    )
    def test_the_modes_of_a_program_in_front_stay(
        self, terminal: Terminal, tmp_path: Path, script: str
    ) -> None:
        for name in ("up", "go", "alive"):
            os.mkfifo(tmp_path / name)
        program = ": >up; read line <go; kill -TERM $PPID; exec sleep 1000"
        run = shlex.join([*RUN, "--", "sh", "-c", program])
        front = shlex.join([sys.executable, "-I", "-c", FRONT])
        terminal.run("sh", "-c", script.format(run=run, front=front), cwd=tmp_path)
        assert terminal.wait() == 0

    def test_what_was_ended_is_said_on_a_terminal(self, terminal: Terminal) -> None:
        terminal.run(*RUN, "--linger", "0", "--", "sh", "-c", "sleep 1000 & exit 3")
        # The shell in the background may be about to become sleep.
        terminal.find(r"proctree-kill: the command left processes, which were ended: (sleep|sh) \(")
        assert terminal.wait() == 3

    def test_a_command_that_is_idle_is_ended(self, terminal: Terminal) -> None:
        terminal.run(*RUN, "--idle-timeout", "1", "--", "sleep", "1000")
        terminal.expect("proctree-kill: the command was idle for 1 s; ended: sleep (")
        assert terminal.wait() == 124

    def test_ctrl_c_ends_the_linger(self, terminal: Terminal) -> None:
        left = f"trap 'echo heard; kill $!; exit' TERM; trap '' INT; {STAY}"
        options = ["--linger", "1000", "--grace", PATIENCE]
        script = f"({left}) & exit 3"
        env = {**os.environ, "TERM": "xterm"}
        terminal.run(*RUN, *options, "--", "sh", "-c", script, env=env)
        terminal.expect("there")
        terminal.expect("asked to exit in ")  # shown again and again while it lingers
        terminal.type("\3")
        terminal.expect("heard")
        assert terminal.wait() == 130

    def test_a_command_that_dies_of_ctrl_c_leaves_nothing(
        self, terminal: Terminal, plant: Planter
    ) -> None:
        with plant.prepare(STUBBORN, env=os.environ) as prepared:
            options = ["--linger", "1000", "--grace", HASTE]
            terminal.run(*RUN, *options, "--", *prepared.argv, **prepared.options)
        prepared.tree.await_started()
        terminal.type("\3")
        assert terminal.wait() == 130
        assert prepared.tree.all_dead()

    def test_the_command_can_ask_at_the_terminal(self, terminal: Terminal) -> None:
        ask = "printf 'Password: ' >/dev/tty; read word </dev/tty; echo got $word"
        terminal.run(*RUN, "--", "sh", "-c", ask, stdin=subprocess.DEVNULL)
        terminal.expect("Password: ")
        terminal.type("swordfish\r")
        terminal.expect("got swordfish")
        assert terminal.wait() == 0

    def test_a_hangup_ends_the_whole_tree(self, terminal: Terminal, plant: Planter) -> None:
        with plant.prepare(STUBBORN, env=os.environ) as prepared:
            terminal.run(*RUN, "--grace", HASTE, "--", *prepared.argv, **prepared.options)
        prepared.tree.await_started()
        terminal.hang_up()
        assert terminal.wait() == 129
        assert prepared.tree.all_dead()

    @pytest.mark.needs("bash")
    def test_ctrl_c_stops_a_script(self, terminal: Terminal, tmp_path: Path) -> None:
        run = shlex.join([*RUN, "--", "sh", "-c", "echo there; exec sleep 1000"])
        terminal.run("bash", "-c", f"{run}; : >next", cwd=tmp_path)
        terminal.expect("there")
        terminal.type("\3")
        assert terminal.wait() == 130
        assert not (tmp_path / "next").exists()

    @pytest.mark.needs("bash")
    def test_a_command_can_be_stopped_and_continued(self, terminal: Terminal) -> None:
        terminal.run("bash", "--norc", "--noediting", "-i", env={**os.environ, "PS1": "prompt> "})
        terminal.expect("prompt> ")
        terminal.type(f"{shlex.join(RUN)} -- sh -c 'echo there; exec cat'\r")
        terminal.expect("\nthere")
        terminal.type("\x1a")
        terminal.expect("Stopped")
        terminal.expect("prompt> ")
        terminal.type("fg\r")
        terminal.expect("exec cat'\r\n")
        terminal.type("again\r")
        terminal.expect("again\r\nagain\r\n")
        terminal.type("\4")
        terminal.expect("prompt> ")
        terminal.type("exit $?\r")
        assert terminal.wait() == 0

    @pytest.mark.needs("bash")
    def test_a_terminal_that_a_killed_shell_had_taken_is_given_back(
        self, terminal: Terminal
    ) -> None:
        inner = shlex.join([*RUN, "--timeout", "1", "--grace", "0", "--", "bash", "--norc", "-i"])
        terminal.run("sh", "-c", f"{inner}; echo code $?; read line; echo read $line")
        terminal.expect("code 124")
        terminal.type("word\r")
        terminal.expect("read word")
        assert terminal.wait() == 0
