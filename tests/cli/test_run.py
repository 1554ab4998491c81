"""Pure: the arguments of ``run``. Seam: a terminal. Real: commands, with and without a terminal.

All that is planted below a command inherits a pipe: its end is the death of the last process.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from proctree_kill import TreePopen
from proctree_kill._cli import main
from proctree_kill._cli.parser import parse
from proctree_kill._cli.run import exit_code, start_failure
from proctree_kill._cli.signals import signal_queue
from proctree_kill._systems.contract import Launch
from proctree_kill._systems.windows.terminal import ConsoleTerminal
from support.callers import in_namespace, in_subreaper
from support.counts import ORPHANS, SAVES
from support.nodes import Node, chain
from support.planter import Planter
from support.times import BOUND
from support.trees import Tree
from support.wrappers import run_wrapper

PATIENCE = "60"  # seconds of grace; never pass in full
HASTE = "0.2"  # seconds; pass in full
STUBBORN = Node(name="root", on_term="ignore", children=(Node(name="child", on_term="ignore"),))
LEFT_BEHIND = (
    Node(name="child"),
    Node(name="stubborn", on_term="ignore"),
    Node(name="stopped", stopped=True),
    Node(name="own session", session=True),
    Node(name="first", session=True, dies=True, children=(Node(name="daemon", session=True),)),
)
# What a shell does until a signal, which its trap sees at once.
STAY = "sleep 1000 & echo there; while :; do wait $!; sleep 1000 & done"
POLITE = """\
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(os.write(1, b"bye\\n")))
signal.pause()
"""
RUN = [sys.executable, "-m", "proctree_kill", "run"]


class TestArguments:
    """Pure."""

    @pytest.mark.parametrize(
        ("said", "argv"),
        [
            (["--", "make", "test"], ["make", "test"]),
            (["make", "--timeout", "3"], ["make", "--timeout", "3"]),
            (["--timeout", "3", "--", "sh", "-c", "x", "--", "-v"], ["sh", "-c", "x", "--", "-v"]),
            (["-v", "--", "-v"], ["-v"]),
        ],
    )
    def test_all_after_the_first_word_is_the_command_s(
        self, said: list[str], argv: list[str]
    ) -> None:
        assert parse(["run", *said]).argv == argv

    @pytest.mark.parametrize(
        "said",
        [
            [],
            ["--"],
            ["--frobnicate", "true"],
            ["--timeout"],
            ["--timeout", "soon", "true"],
            ["--timeout", "0", "true"],
            ["--timeout", "-1", "true"],
            ["--timeout", "inf", "true"],
            ["--grace", "later", "true"],
            ["--linger", "later", "true"],
            ["--leftovers", "keep", "true"],
        ],
        ids=" ".join,
    )
    def test_wrong_arguments_are_not_mistaken_for_the_command_s_own_failure(
        self, said: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            parse(["run", *said])
        assert ended.value.code == 125
        assert "usage: proctree-kill run" in capsys.readouterr().err

    @pytest.mark.parametrize("option", ["grace", "linger"])
    def test_seconds_out_of_range_start_nothing(
        self, option: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["run", f"--{option}", "-1", "--", "sh", "-c", "echo started"]) == 125
        told = capsys.readouterr()
        assert not told.out
        assert told.err.startswith(f"proctree-kill: {option} is")


class TestExitCodes:
    """Pure."""

    @pytest.mark.parametrize(
        ("code", "reason", "survivors", "expected"),
        [
            (0, None, False, 0),
            (7, None, False, 7),
            (-9, None, False, 137),
            (0, 124, False, 124),
            (-15, 124, False, 124),
            (0, 143, False, 143),
            (7, None, True, 125),
            (None, 124, True, 125),
            (None, None, False, 125),
            (0xC000013A, None, False, 0xC000013A - 2**32),  # Windows' codes, as sys.exit() has them
        ],
    )
    def test_the_command_s_own_unless_it_was_ended(
        self, code: int | None, reason: int | None, *, survivors: bool, expected: int
    ) -> None:
        assert exit_code(code, reason, survivors=survivors) == expected

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (FileNotFoundError(errno.ENOENT, "", "prog"), 127),
            (PermissionError(errno.EACCES, "", "prog"), 126),
            (OSError(errno.ENOEXEC, "", "prog"), 126),
            (OSError(errno.E2BIG, "", "prog"), 126),
            (PermissionError(errno.EACCES, ""), 126),  # Windows names no file
            (BlockingIOError(errno.EAGAIN, ""), 125),
        ],
    )
    def test_a_start_that_fails_exits_as_timeout_does(self, error: OSError, expected: int) -> None:
        assert start_failure(error) == expected


def test_a_console_reaches_every_process() -> None:
    with ConsoleTerminal() as console:
        assert console
        assert console.reaches(os.getpid())


class TestSignalQueue:
    """Real: signals to this process."""

    def test_numbers_come_in_their_order_and_the_handlers_come_back(self) -> None:
        before = signal.getsignal(signal.SIGTERM), signal.set_wakeup_fd(-1)
        with signal_queue(["SIGTERM", "SIGNONE"]) as signals:
            signal.raise_signal(signal.SIGTERM)
            signals.put(0)
            signal.raise_signal(signal.SIGTERM)
            assert [signals.get() for _ in range(3)] == [signal.SIGTERM, 0, signal.SIGTERM]
            assert signals.get(0) is None
        signals.put(0)
        assert (signal.getsignal(signal.SIGTERM), signal.set_wakeup_fd(-1)) == before

    def test_a_long_wait_is_made_of_shorter_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("proctree_kill._cli.signals.LONGEST_WAIT", 0.0)
        with signal_queue([]) as signals:
            threading.Timer(0.01, signals.put, [7]).start()
            assert signals.get(math.inf) == 7


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


@pytest.mark.needs("procfs")
@pytest.mark.parametrize(
    "way",
    [
        pytest.param(in_namespace, id="pid 1", marks=pytest.mark.needs("pid namespace")),
        pytest.param(in_subreaper, id="subreaper"),
    ],
)
def test_adopted_orphans_are_reaped_while_the_command_runs(way: Callable[..., object]) -> None:
    # A zombie has its number still. The root ends with an exit code that its Popen must know.
    orphan = "pid=$(sh -c ': & echo $!'); while kill -0 $pid 2>/dev/null; do :; done"
    script = f"for i in {' '.join(map(str, range(ORPHANS)))}; do {orphan}; done; exit 7"

    def scene() -> int:
        sys.stdout = sys.stderr = None  # this fork has no files of pytest
        return main(["run", "--", "sh", "-c", script])

    assert way(scene) == 7


@pytest.mark.needs("fork")
class TestCommand:
    """Real: no terminal."""

    @pytest.mark.parametrize(
        ("script", "code"),
        [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)],
    )
    def test_the_exit_code_is_the_command_s_and_nothing_is_said(
        self, script: str, code: int
    ) -> None:
        done = run("sh", "-c", script)
        assert (done.returncode, done.stdout, done.stderr) == (code, "", "")

    def test_a_command_that_is_not_there(self) -> None:
        done = run("/nowhere/to-be-found")
        assert done.returncode == 127
        assert done.stderr == (
            "proctree-kill: cannot run '/nowhere/to-be-found': No such file or directory\n"
        )

    def test_a_file_that_is_no_program(self, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("no program")
        done = run(str(tmp_path / "text"))
        assert done.returncode == 126
        assert done.stderr.endswith(": Permission denied\n")

    def test_the_streams_are_the_command_s(self) -> None:
        done = run("sh", "-c", "cat; echo complaint >&2", input="through\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, "through\n", "complaint\n")

    def test_every_descriptor_that_was_handed_down_is_handed_on(self) -> None:
        reading, writing = os.pipe()
        with os.fdopen(reading) as pipe:
            with os.fdopen(writing, "w"):
                done = run("sh", "-c", f"echo through > /dev/fd/{writing}", pass_fds=(writing,))
            assert (done.returncode, pipe.read()) == (0, "through\n")

    def test_a_reader_that_leaves_ends_the_command(self) -> None:
        script = 'yes | { "$@"; echo "code $?" >&2; } | head -n 1'
        done = subprocess.run(
            ["sh", "-c", script, "sh", *RUN, "--", "cat"],
            capture_output=True,
            text=True,
            check=False,
            timeout=BOUND,
        )
        assert (done.stdout, done.stderr) == ("y\n", "code 141\n")

    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    def test_closed_streams_stay_closed(self, closed: str) -> None:
        script = f'"$@" {closed}'
        look = "for fd in 0 1 2; do [ -e /dev/fd/$fd ] || code=1$code; done; exit ${code:-0}"
        done = subprocess.run(
            ["sh", "-c", script, "sh", *RUN, "-v", "--", "sh", "-c", look], check=False
        )
        assert done.returncode == int("1" * closed.count("&-"))

    def test_what_a_command_leaves_behind_is_ended(self, plant: Planter) -> None:
        root = Node(name="root", dies=True, children=LEFT_BEHIND)
        with running(plant, root, "--grace", HASTE) as (command, tree):
            out, err = command.communicate(timeout=BOUND)
        assert (command.returncode, out, err) == (0, "", "")
        assert tree.all_dead()

    def test_the_whole_tree_ends_when_its_time_is_over(self, plant: Planter) -> None:
        with running(plant, STUBBORN, "--timeout", "2", "--grace", HASTE) as (command, tree):
            out, err = command.communicate(timeout=BOUND)
        assert (command.returncode, out, err) == (124, "", "")
        assert tree.all_dead()

    def test_a_polite_command_says_goodbye_when_its_time_is_over(self) -> None:
        polite = [sys.executable, "-I", "-S", "-c", POLITE]
        done = run(*polite, options=["--timeout", "1", "--grace", PATIENCE])
        assert (done.returncode, done.stdout) == (124, "bye\n")

    @pytest.mark.parametrize("name", ["SIGUSR1", "SIGUSR2", "SIGWINCH"])
    def test_signals_are_handed_on(self, name: str) -> None:
        with shell(heed(name)) as command:
            command.send_signal(getattr(signal, name))
            out, err = command.communicate(timeout=BOUND)
        assert (command.returncode, out, err) == (9, "caught\n", "")

    @pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"])
    def test_a_signal_that_asks_to_leave_is_handed_on_as_it_is(self, name: str) -> None:
        with shell(heed(name), "--grace", PATIENCE) as command:
            number = getattr(signal, name)
            command.send_signal(number)
            out, err = command.communicate(timeout=BOUND)
        assert (command.returncode, out, err) == (128 + number, "caught\n", "")

    def test_a_command_that_does_not_leave_is_killed_after_the_grace(self, plant: Planter) -> None:
        with running(plant, STUBBORN, "--grace", HASTE) as (command, tree):
            command.send_signal(signal.SIGTERM)
            assert command.wait(BOUND) == 143
        assert tree.all_dead()

    def test_the_child_of_a_command_that_does_not_leave_is_asked(self) -> None:
        child = "(trap 'echo saved; exit' TERM; echo there; while :; do sleep 1000 & wait $!; done)"
        script = f"trap '' USR1; trap : TERM; {child} & wait; wait; wait"
        with shell_as_it_is(script, "--grace", "4") as command:
            command.send_signal(signal.SIGTERM)
            out, _ = command.communicate(timeout=BOUND)
        assert (command.returncode, out) == (143, "saved\n")

    @pytest.mark.parametrize("told", [True, False])
    def test_a_child_whose_parent_passes_a_signal_on_gets_it_once(self, *, told: bool) -> None:
        for _ in range(SAVES):
            run_wrapper(told=told)

    def test_what_is_still_at_work_may_finish(self, tmp_path: Path) -> None:
        script = "mkfifo go; (read word <go; echo done >log) & exec 3>go"
        done = run("sh", "-c", script, options=["--linger", PATIENCE], cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "log").read_text() == "done\n"

    def test_all_that_was_left_can_be_awaited(self, tmp_path: Path) -> None:
        script = "mkfifo go; (read word <go; echo done >log) & exec 3>go"
        options = ["--leftovers", "wait", "--linger", "0"]
        assert run("sh", "-c", script, options=options, cwd=tmp_path).returncode == 0
        assert (tmp_path / "log").read_text() == "done\n"

    def test_a_wait_for_all_that_takes_too_long_is_a_timeout(self) -> None:
        options = ["--leftovers", "wait", "--timeout", "1"]
        assert run("sh", "-c", "sleep 1000 & exit 3", options=options).returncode == 124

    def test_at_the_timeout_silent_leftovers_lose_the_rest_of_their_time(self) -> None:
        options = ["--linger", "1000", "--timeout", "1"]
        assert run("sh", "-c", "sleep 1000 & exit 3", options=options).returncode == 3

    def test_what_was_left_goes_on_if_that_is_wanted(self) -> None:
        reading, writing = os.pipe()
        with os.fdopen(reading) as pipe:
            script = f"(echo $BASHPID; exec sleep 1000 2>&-) >&{writing} & exit 4"
            done = run("bash", "-c", script, options=["--leftovers", "leave"], pass_fds=[writing])
            os.close(writing)
            pid = int(pipe.readline())
            os.kill(pid, signal.SIGTERM)  # it lives
            assert pipe.read() == ""
        assert (done.returncode, done.stderr) == (4, "")

    @pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
    def test_a_signal_ends_the_linger(self, name: str) -> None:
        # A child in the background of a shell ignores SIGINT.
        script = f"(trap 'echo asked; kill $!; exit' TERM; {STAY}) & exit 3"
        options = ["--linger", "1000", "--grace", HASTE if name == "SIGINT" else PATIENCE]
        with shell_as_it_is(script, *options) as command:
            command.send_signal(getattr(signal, name))
            out, _ = command.communicate(timeout=BOUND)
        assert command.returncode == 128 + getattr(signal, name)
        assert out == ("" if name == "SIGINT" else "asked\n")

    @pytest.mark.parametrize("second", ["SIGINT", "SIGHUP"])
    def test_a_second_signal_kills_at_once(self, plant: Planter, second: str) -> None:
        with running(plant, STUBBORN, "--grace", PATIENCE) as (command, tree):
            command.send_signal(signal.SIGTERM)
            command.send_signal(getattr(signal, second))
            assert command.wait(BOUND) in {143, 128 + getattr(signal, second)}
        assert tree.all_dead()

    def test_a_signal_while_the_rest_is_asked_kills_at_once(self) -> None:
        script = f"(trap 'echo asked' TERM; {STAY}) & exit;"
        with shell(script, "--grace", PATIENCE) as command:
            assert command.stdout
            assert command.stdout.readline() == "asked\n"
            command.send_signal(signal.SIGINT)
            assert command.wait(BOUND) == 130
            assert command.stdout.read() == ""

    def test_two_reports_of_a_hangup_are_one_hangup(self) -> None:
        # What the shell starts after the request is not asked.
        script = "trap 'echo hung up' HUP; trap 'kill $!; exit 9' USR1;"
        with shell(script, "--grace", PATIENCE) as command:
            assert command.stdout
            command.send_signal(signal.SIGHUP)
            assert command.stdout.readline() == "hung up\n"
            command.send_signal(signal.SIGHUP)
            command.send_signal(signal.SIGUSR1)
            assert command.wait(BOUND) == 129
            assert command.stdout.read() == ""

    def test_a_signal_that_was_ignored_stays_ignored(self) -> None:
        nohup = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]
        with shell("trap 'exit 9' USR1;", before=nohup) as command:
            command.send_signal(signal.SIGHUP)
            command.send_signal(signal.SIGUSR1)
            assert command.wait(BOUND) == 9

    def test_a_stopped_command_can_leave(self, plant: Planter) -> None:
        root = Node(name="root", stopped=True, on_term="exit", children=(chain("child"),))
        with running(plant, root, "--grace", PATIENCE) as (command, tree):
            command.send_signal(signal.SIGTERM)
            assert command.wait(BOUND) == 143
        assert tree.all_dead()

    def test_a_run_inside_another_ends_with_it(self, plant: Planter) -> None:
        with running(plant, STUBBORN, "--grace", HASTE, "--", *RUN, "--grace", PATIENCE) as (
            command,
            tree,
        ):
            command.send_signal(signal.SIGTERM)
            assert command.wait(BOUND) == 143
        assert tree.all_dead()

    def test_what_the_system_protects_ends_by_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(TreePopen, "send_signal", refuse)
        assert main(["run", "--", "sh", "-c", "kill -USR1 $PPID; exit 5"]) == 5

    def test_our_own_failure_leaves_nothing(
        self, plant: Planter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("proctree_kill._cli.run.Rest", None)
        with plant.prepare(STUBBORN) as prepared:
            monkeypatch.setattr(os, "environ", prepared.options["env"])
            for fd in prepared.fds:
                os.set_inheritable(fd, True)  # noqa: FBT003 - its name is positional
            with pytest.raises(TypeError):
                main(["run", "--", *prepared.argv])
        assert prepared.tree.all_dead(BOUND)

    @pytest.mark.parametrize(
        ("script", "options", "told"),
        [
            ("exit 3", [], ["the command ended with exit code 3 after ", "no process was left"]),
            (
                "kill -KILL $$",
                [],
                ["the command was ended by SIGKILL after ", "no process was left"],
            ),
            ("sleep 1000 & exit 0", [], ["the command ended with exit code 0", "1 terminated in "]),
            ("exec sleep 1000", ["--timeout", HASTE], ["the time was over", "1 terminated in "]),
            ("kill -TERM $PPID; exec sleep 1000", [], ["SIGTERM came", "1 terminated in "]),
            (
                "sleep 1000 & kill $!; exit 0",
                ["--leftovers", "wait"],
                ["the command ended with exit code 0", "no process was left"],
            ),
        ],
    )
    def test_verbose_prints_the_end(
        self,
        script: str,
        options: list[str],
        told: list[str],
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        main(["run", "-v", *options, "--", "sh", "-c", script])
        said = capfd.readouterr()
        assert not said.out
        complaints = [line for line in said.err.splitlines() if line.startswith("proctree-kill: ")]
        assert [
            complaint.startswith(f"proctree-kill: {text}")
            for complaint, text in zip(complaints, told, strict=True)
        ] == [True, True]


def run(
    *argv: str, options: list[str] | None = None, **popen: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without a terminal."""
    return subprocess.run(
        [*RUN, *(options or []), "--", *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND,
        start_new_session=True,
        **popen,
    )


@contextmanager
def running(
    plant: Planter, root: Node, *options: str, **popen: Any
) -> Iterator[tuple[subprocess.Popen[str], Tree]]:
    """Run a planted tree without a terminal, and yield it when all of it has started."""
    with plant.prepare(root, env=os.environ) as prepared:
        popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen, **prepared.options}
        argv = [*RUN, *options, "--", *prepared.argv]
        command = subprocess.Popen(argv, text=True, start_new_session=True, **popen)
    with command:
        try:
            prepared.tree.await_started()
            yield command, prepared.tree
        finally:
            command.kill()


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


@contextmanager
def shell(
    script: str, *options: str, before: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Run a shell that stays, without a terminal, and yield it when its traps are set."""
    with shell_as_it_is(f"{script} {STAY}", *options, before=before) as command:
        yield command


@contextmanager
def shell_as_it_is(
    script: str, *options: str, before: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Run a shell without a terminal, and yield it when its script says that it is there."""
    with subprocess.Popen(
        [*before, *RUN, *options, "--", "sh", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command:
        try:
            assert command.stdout
            assert command.stdout.readline() == "there\n"
            yield command
        finally:
            command.kill()


def heed(name: str) -> str:
    """Return a trap by which a shell reports a signal and leaves."""
    # The shell's own child ignores SIGINT and SIGQUIT: it would stay for the whole grace.
    return f"trap 'echo caught; kill $!; exit 9' {name.removeprefix('SIG')};"


@pytest.mark.needs("fork")
def test_the_time_is_over_by_the_signal_that_was_chosen() -> None:
    options = ("--timeout", "2", "--signal", "INT", "--grace", str(BOUND))
    with shell(heed("SIGINT"), *options) as command:
        out, _ = command.communicate(timeout=BOUND)
    assert out == "caught\n"
    assert command.returncode == 124


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
            terminal.expect("proctree-kill: killing all processes\r\n")
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
        terminal.expect("proctree-kill: the command left processes, which were ended: sleep (")
        assert terminal.wait() == 3

    def test_ctrl_c_ends_the_linger(self, terminal: Terminal) -> None:
        # It is there when the command was reaped, and so is awaited no more.
        awaited = "while kill -0 $$ 2>/dev/null; do sleep 0.01; done"
        left = f"trap 'echo asked; kill $!; exit' TERM; trap '' INT; {awaited}; {STAY}"
        options = ["--linger", "1000", "--grace", PATIENCE]
        terminal.run(*RUN, *options, "--", "sh", "-c", f"({left}) & exit 3")
        terminal.expect("there")
        terminal.type("\3")
        terminal.expect("asked")
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


class Terminal:
    """A terminal, and the leader of the session on it."""

    def __init__(self, fdspawn: Callable[..., Any]) -> None:
        self._master, self._slave = os.openpty()
        self._screen = fdspawn(self._master, timeout=BOUND, encoding="utf-8")

    def run(self, *argv: str, stdin: IO[str] | int | None = None, **options: Any) -> None:
        """Run a program whose controlling terminal this is."""
        self._leader = subprocess.Popen(
            argv,
            stdin=self._slave if stdin is None else stdin,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            preexec_fn=self._control,  # noqa: PLW1509 - no other way, and no thread here
            **options,
        )

    def _control(self) -> None:
        """Make it the controlling terminal of the session of this process (tty_ioctl(4))."""
        import fcntl  # noqa: PLC0415 - not on every system
        import termios  # noqa: PLC0415 - not on every system

        fcntl.ioctl(1, termios.TIOCSCTTY, 0)

    def modes(self) -> list[Any]:
        """Return its modes (termios(3))."""
        import termios  # noqa: PLC0415 - not on every system

        return termios.tcgetattr(self._slave)

    def type(self, keys: str) -> None:
        self._screen.send(keys)

    def press_ctrl_c(self) -> None:
        """Interrupt, and wait until the leader has taken the signal: two at once are one."""
        self.type("\3")
        self.expect("^C")
        status = Path(f"/proc/{self._leader.pid}/status")
        while re.search(r"^(Sig|Shd)Pnd:.*[^0\s]", status.read_text(), re.MULTILINE):
            os.sched_yield()

    def expect(self, text: str) -> None:
        """Wait until it shows a text."""
        self._screen.expect_exact(text)

    def hang_up(self) -> None:
        """Close the other side of it."""
        os.close(self._slave)
        self._screen.close()
        self._slave = self._master = -1

    def wait(self) -> int:
        """Wait for the end of the leader and return its exit code."""
        return self._leader.wait(BOUND)

    def close(self) -> None:
        """End all that is left."""
        if self._master >= 0:
            self.hang_up()
        self._leader.kill()
        self._leader.wait()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    fdpexpect = pytest.importorskip("pexpect.fdpexpect")
    terminal = Terminal(fdpexpect.fdspawn)
    yield terminal
    terminal.close()
