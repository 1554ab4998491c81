"""Pure: the arguments of ``run``. Real: commands without a terminal.

All that is planted below a command inherits a pipe: its end is the death of the last process.
"""

from __future__ import annotations

import errno
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from proctree_kill import Containment, TreePopen
from proctree_kill._cli import main
from proctree_kill._cli.parser import parse
from proctree_kill._cli.reaper import OrphanReaper
from proctree_kill._cli.run import exit_code, start_failure
from proctree_kill._cli.signals import signal_queue
from proctree_kill._spawn.time_limit import TimeLimit
from proctree_kill.errors import ContainmentError
from support import daemons
from support.callers import in_namespace, in_subreaper
from support.counts import ORPHANS, SAVES
from support.nodes import Node, chain
from support.owners import has_ended
from support.planter import Planter
from support.runs import (
    HASTE,
    PATIENCE,
    RUN,
    STAY,
    STUBBORN,
    heed,
    run,
    running,
    shell,
    shell_as_it_is,
)
from support.signal_masks import blocked
from support.times import BOUND
from support.wrappers import run_wrapper

LEFT_BEHIND = (
    Node(name="child"),
    Node(name="stubborn", on_term="ignore"),
    Node(name="stopped", stopped=True),
    Node(name="own session", session=True),
    Node(name="first", session=True, dies=True, children=(Node(name="daemon", session=True),)),
)
# Takes one signal, which is blocked when it starts.
POLITE = """\
import os, signal, sys
signal.sigwait([int(sys.argv[1])])
os.write(1, b"bye\\n")
"""


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

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            (
                ["--leftovers", "leave", "--kill-on-parent-exit"],
                "leftovers is 'leave', but kill_on_parent_exit would end what is left",
            ),
            (["--teardown", "KILL 3"], "SIGKILL asks nothing; force follows by itself"),
            (["--teardown", "INT 0"], "0.0 is no number of seconds above 0"),
        ],
    )
    def test_options_that_contradict_each_other_start_nothing(
        self, said: list[str], told: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["run", *said, "--", "sh", "-c", "echo started"]) == 125
        written = capsys.readouterr()
        assert not written.out
        assert told in written.err

    @pytest.mark.needs("fork")
    def test_a_containment_that_the_machine_does_not_offer_starts_nothing(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def refuse(requested: str, **_: object) -> None:
            raise ContainmentError(requested, "no cgroup can be made")

        monkeypatch.setattr(Containment, "prepare", refuse)
        assert main(["run", "--containment", "kernel", "--", "make"]) == 125
        assert capsys.readouterr().err == (
            "proctree-kill: cannot run 'make': containment 'kernel': no cgroup can be made\n"
        )


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
            timer = threading.Timer(0.01, signals.put, [7])
            timer.start()
            assert signals.get(math.inf) == 7
            timer.join()


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
        [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", -signal.SIGTERM)],
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

    def test_a_time_in_the_place_of_the_command_as_timeout_has_it(self) -> None:
        done = run("5m", "true")
        assert done.returncode == 127
        assert done.stderr.endswith("; did you mean --timeout 5m?\n")

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
        # Where the machine is busy that is before all of it has started.
        options = ["--timeout", "2", "--grace", HASTE]
        with plant.prepare(STUBBORN, env=os.environ) as prepared:
            done = run(*prepared.argv, options=options, **prepared.options)
        assert (done.returncode, done.stdout, done.stderr) == (124, "", "")
        assert prepared.tree.all_dead()

    def test_another_name_of_the_time(self) -> None:
        assert run("sleep", "1000", options=["--max-lifetime", "0.2"]).returncode == 124

    def test_a_command_that_is_idle_is_ended_and_that_is_said(self) -> None:
        script = "sleep 1000 & exec sleep 1000"
        done = run("sh", "-c", script, options=["--idle-timeout", "2"])
        assert (done.returncode, done.stdout) == (124, "")
        name = r"(sleep|sh) \(\d+\)"  # a shell that is not given the CPU is idle too
        said = rf"proctree-kill: the command was idle for 2 s; ended: {name}, {name}\n"
        assert re.fullmatch(said, done.stderr)

    def test_an_idle_command_that_has_to_be_killed(self) -> None:
        options = ["--idle-timeout", "0.2", "--force", "-v"]
        said = run("sleep", "1000", options=options).stderr.splitlines()
        assert said[0].startswith(
            "proctree-kill: the command was idle for 0.2 s, and was ended after"
        )

    def test_a_silent_command_that_computes_is_not_idle(self) -> None:
        compute = "import time\nend = time.monotonic() + 2.5\nwhile time.monotonic() < end: pass"
        done = run(sys.executable, "-I", "-S", "-c", compute, options=["--idle-timeout", "2"])
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize(("name", "how"), [("SIGTERM", []), ("SIGINT", ["--signal", "INT"])])
    def test_a_polite_command_says_goodbye_when_its_time_is_over(
        self, name: str, how: list[str]
    ) -> None:
        number = getattr(signal, name)
        polite = [sys.executable, "-I", "-S", "-c", POLITE, str(int(number))]
        with blocked(number):
            done = run(*polite, options=["--timeout", HASTE, *how, "--grace", PATIENCE])
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
        code = 128 + number if name == "SIGQUIT" else -number  # that would dump core
        assert (command.returncode, out, err) == (code, "caught\n", "")

    def test_a_command_that_does_not_leave_is_killed_after_the_grace(self, plant: Planter) -> None:
        with running(plant, STUBBORN, "--grace", HASTE) as (command, tree):
            command.send_signal(signal.SIGTERM)
            assert command.wait(BOUND) == -signal.SIGTERM
        assert tree.all_dead()

    def test_the_child_of_a_command_that_does_not_leave_is_asked(self) -> None:
        child = "(trap 'echo saved; exit' TERM; echo there; while :; do sleep 1000 & wait $!; done)"
        script = f"trap '' USR1; trap : TERM; {child} & wait; wait; wait"
        with shell_as_it_is(script, "--grace", "4") as command:
            command.send_signal(signal.SIGTERM)
            out, _ = command.communicate(timeout=BOUND)
        assert (command.returncode, out) == (-signal.SIGTERM, "saved\n")

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

    def test_at_the_timeout_silent_leftovers_lose_the_rest_of_their_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Seam: the time is over as soon as the command itself has ended."""
        limit = TimeLimit()
        monkeypatch.setattr("proctree_kill._cli.run.time_limit", lambda *_: limit)
        monkeypatch.setattr(
            OrphanReaper, "note_root", lambda _: setattr(limit, "end", time.monotonic())
        )
        options = ["--linger", "1000", "--timeout", "1000"]
        assert main(["run", *options, "--", "sh", "-c", "sleep 1000 & exit 3"]) == 3

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

    @pytest.mark.needs("procfs")
    @pytest.mark.parametrize("guarded", [[], ["--kill-on-parent-exit"]])
    def test_a_program_that_is_spared_outlives_the_command(self, guarded: list[str]) -> None:
        reading, writing = os.pipe()
        script = (
            f"sleep 1000 & tail -f /dev/null >&{writing} 2>&1 & "
            "while read name </proc/$!/comm; [ $name != tail ]; do :; done; exit 4"
        )
        options = ["-v", "--spare", "tail", "--linger", "0", *guarded]
        with os.fdopen(reading) as pipe:
            done = run("bash", "-c", script, options=options, pass_fds=[writing])
            os.close(writing)
            assert done.returncode == 4
            assert "1 terminated, 1 spared" in done.stderr
            found = re.search(r"^ *(\d+) +tail", done.stderr, re.MULTILINE)
            assert found
            os.kill(int(found[1]), signal.SIGTERM)  # it lives
            assert pipe.read() == ""

    @pytest.mark.needs("procfs", "pidfd")
    @pytest.mark.parametrize("spare", ["planted-daemon", daemons.MARKER])
    def test_a_daemon_that_is_spared_outlives_a_run_that_is_killed(
        self, plant: Planter, tmp_path: Path, spare: str
    ) -> None:
        with plant.prepare() as prepared:
            given = ["--kill-on-parent-exit", "--spare", "no-such", "--spare", spare]
            argv = [sys.executable, "-m", "proctree_kill", "run", *given, "--"]
            env = {**os.environ, **prepared.options.pop("env")}
            prepared.tree.root = command = subprocess.Popen(
                [*argv, *daemons.command(tmp_path)],
                stdin=subprocess.DEVNULL,
                env=env,
                **prepared.options,
            )
        prepared.tree.await_started("daemon")
        started = psutil.Process(command.pid).children()  # the command and the guard
        descriptors = [os.pidfd_open(process.pid) for process in started]
        command.kill()
        assert has_ended(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        assert daemons.daemon_lives(prepared.tree)

    @pytest.mark.parametrize("spare", ["A=", "a/b", "12"])
    def test_what_cannot_be_spared_is_a_usage_error(self, spare: str) -> None:
        done = run("true", options=["--spare", spare])
        assert done.returncode == 125
        assert repr(spare) in done.stderr

    def test_a_marker_that_run_itself_carries_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLANTED_DAEMON", "1")
        done = run("echo", "ran", options=["--spare", daemons.MARKER])
        assert (done.returncode, done.stdout) == (125, "")
        assert "so all that it starts would be spared" in done.stderr

    @pytest.mark.needs("pidfd")
    def test_the_tree_ends_when_run_is_killed(self, plant: Planter) -> None:
        with running(plant, STUBBORN, "--kill-on-parent-exit") as (command, tree):
            command.kill()
            assert tree.all_dead(BOUND)

    def test_each_member_is_asked_at_once_if_that_is_wanted(self) -> None:
        child = "(trap 'echo asked; exit' TERM; echo there; while :; do sleep 1000 & wait $!; done)"
        script = f"trap '' USR1; trap : TERM; {child} & wait; wait; wait"
        with shell_as_it_is(script, "--grace", HASTE, "--terminate", "root") as command:
            command.send_signal(signal.SIGTERM)
            out, _ = command.communicate(timeout=BOUND)
        assert (command.returncode, out) == (-signal.SIGTERM, "")

    @pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
    def test_a_signal_ends_the_linger(self, name: str) -> None:
        # A child in the background of a shell ignores SIGINT.
        script = f"(trap 'echo asked; kill $!; exit' TERM; {STAY}) & exit 3"
        options = ["--linger", "1000", "--grace", HASTE if name == "SIGINT" else PATIENCE]
        with shell_as_it_is(script, *options) as command:
            command.send_signal(getattr(signal, name))
            out, _ = command.communicate(timeout=BOUND)
        assert command.returncode == -getattr(signal, name)
        assert out == ("" if name == "SIGINT" else "asked\n")

    @pytest.mark.parametrize("second", ["SIGINT", "SIGHUP"])
    def test_a_second_signal_kills_at_once(self, plant: Planter, second: str) -> None:
        with running(plant, STUBBORN, "--grace", PATIENCE) as (command, tree):
            command.send_signal(signal.SIGTERM)
            command.send_signal(getattr(signal, second))
            assert command.wait(BOUND) in {-signal.SIGTERM, -getattr(signal, second)}
        assert tree.all_dead()

    def test_a_signal_while_the_rest_is_asked_kills_at_once(self) -> None:
        script = f"(trap 'echo asked' TERM; {STAY}) & read line"  # it exits when all is there
        options = ("--linger", HASTE, "--grace", PATIENCE)
        with shell_as_it_is(script, *options, stdin=subprocess.PIPE) as command:
            assert command.stdin
            assert command.stdout
            command.stdin.close()
            assert command.stdout.readline() == "asked\n"
            command.send_signal(signal.SIGINT)
            assert command.wait(BOUND) == -signal.SIGINT
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
            assert command.wait(BOUND) == -signal.SIGHUP
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
            assert command.wait(BOUND) == -signal.SIGTERM
        assert tree.all_dead()

    def test_a_run_inside_another_ends_with_it(self, plant: Planter) -> None:
        with running(plant, STUBBORN, "--grace", HASTE, "--", *RUN, "--grace", PATIENCE) as (
            command,
            tree,
        ):
            command.send_signal(signal.SIGTERM)
            assert command.wait(BOUND) == -signal.SIGTERM
        assert tree.all_dead()

    def test_what_the_system_protects_ends_by_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(TreePopen, "send_signal", refuse)
        assert main(["run", "--", "sh", "-c", "kill -USR1 $PPID; exit 5"]) == 5

    def test_our_own_failure_leaves_nothing(
        self, plant: Planter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("proctree_kill._cli.command_run.Rest", None)
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
            for complaint, text in zip(complaints[-2:], told, strict=True)
        ] == [True, True]
