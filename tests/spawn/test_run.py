"""Real: run and arun are subprocess.run, and leave nothing behind."""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from proctree_kill import Fate, TreePopen, arun, errors, run
from proctree_kill._spawn.leftovers import Leftovers
from support.callers import apart
from support.counts import LOGS
from support.logs import zip_log
from support.times import BOUND

pytestmark = pytest.mark.needs("fork")

PYTHON = [sys.executable, "-I", "-S", "-c"]
LONG = 1000
RUNS = pytest.mark.parametrize("run", [subprocess.run, run], ids=["subprocess", "ours"])
Run = Callable[..., subprocess.CompletedProcess[Any]]


class TestAsSubprocess:
    """What a program relies on that replaces subprocess by this."""

    @RUNS
    def test_what_is_returned(self, run: Run) -> None:
        done = run(["sh", "-c", "echo out; echo err >&2; exit 3"], capture_output=True)
        assert done.args == ["sh", "-c", "echo out; echo err >&2; exit 3"]
        assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")

    @RUNS
    def test_without_pipes_there_is_no_output(self, run: Run) -> None:
        done = run(["true"])
        assert (done.returncode, done.stdout, done.stderr) == (0, None, None)

    @RUNS
    def test_input_and_text(self, run: Run) -> None:
        assert run(["cat"], input="ä\n", capture_output=True, encoding="utf-8").stdout == "ä\n"

    @RUNS
    def test_check(self, run: Run) -> None:
        with pytest.raises(subprocess.CalledProcessError) as raised:
            run(["sh", "-c", "echo out; exit 3"], check=True, stdout=subprocess.PIPE)
        assert (raised.value.returncode, raised.value.stdout) == (3, b"out\n")
        assert run(["true"], check=True).returncode == 0

    @RUNS
    @pytest.mark.parametrize(
        "options",
        [
            {"input": b"", "stdin": subprocess.PIPE},
            {"capture_output": True, "stdout": subprocess.PIPE},
            {"capture_output": True, "stderr": subprocess.DEVNULL},
        ],
    )
    def test_pipes_that_are_given_twice(self, run: Run, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"may not|must not"):
            run(["true"], **options)

    @RUNS
    def test_a_missing_program(self, run: Run) -> None:
        with pytest.raises(FileNotFoundError):
            run(["/nonexistent/program"], capture_output=True)

    @RUNS
    @pytest.mark.usefixtures("speaks_first")
    def test_the_output_so_far_at_the_timeout(self, run: Run) -> None:
        script = f"echo early; exec sleep {LONG}"
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            run(["sh", "-c", script], timeout=0.3, text=True, stdout=subprocess.PIPE)
        assert expired.value.timeout == 0.3
        assert expired.value.stdout == b"early\n"
        assert expired.value.stderr is None

    @RUNS
    @pytest.mark.usefixtures("speaks_first")
    def test_a_character_that_was_cut_at_the_timeout(self, run: Run) -> None:
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            run([*PYTHON, HALF], timeout=0.3, encoding="utf-8", stdout=subprocess.PIPE)
        assert expired.value.stdout == b"\xc3"

    @RUNS
    def test_much_at_once_in_both_directions(self, run: Run) -> None:
        much = os.urandom(1 << 20) * 100
        assert run(["cat"], input=much, capture_output=True).stdout == much

    @RUNS
    def test_a_program_that_does_not_read_its_input(self, run: Run) -> None:
        assert run(["true"], input=bytes(1 << 20)).returncode == 0


HALF = "import os, signal; os.write(1, b'\\xc3'); signal.pause()"  # write half a character and stay


class TestTheTree:
    """What subprocess.run leaves behind."""

    @pytest.mark.usefixtures("speaks_first")
    def test_the_timeout_ends_grandchildren_that_hold_the_pipes(self) -> None:
        script = f"sleep {LONG} & echo $$; sleep {LONG}"
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            run(["sh", "-c", script], timeout=0.5, capture_output=True)
        assert_empty(int(expired.value.stdout or 0))

    @pytest.mark.usefixtures("speaks_first")
    def test_the_timeout_forces_what_ignores_the_request(self) -> None:
        script = f"trap '' TERM; sleep {LONG} & echo $$; sleep {LONG}"
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            run(["sh", "-c", script], timeout=0.3, capture_output=True)
        assert_empty(int(expired.value.stdout or 0))

    @pytest.mark.usefixtures("speaks_first")
    def test_a_grace_asks_first(self) -> None:
        polite = f"trap 'echo asked; exit' TERM; echo early; while :; do sleep {LONG} & wait; done"
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            run(["sh", "-c", polite], timeout=0.3, grace=10, capture_output=True)
        assert expired.value.stdout == b"early\nasked\n"

    @pytest.mark.usefixtures("speaks_first")
    def test_a_teardown_asks_by_its_signals(self, tmp_path: Path) -> None:
        polite = "trap 'echo asked; exit' INT; mkfifo stay; exec 3<>stay; echo early; read line <&3"
        options: dict[str, Any] = {"teardown": ["INT 10"], "cwd": tmp_path}
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            run(["sh", "-c", polite], timeout=0.3, capture_output=True, **options)
        assert expired.value.stdout == b"early\nasked\n"

    def test_what_is_left_is_asked_as_the_teardown_says(self, tmp_path: Path) -> None:
        left = "trap 'echo asked; exit' USR1; exec 3<>stay; echo >up; read line <&3"
        command = ["sh", "-c", f"mkfifo up stay; ({left}) & read line <up"]
        options: dict[str, Any] = {"teardown": ["USR1 10"], "terminate": "tree", "linger": 0.3}
        done = run(command, capture_output=True, cwd=tmp_path, **options)
        assert done.stdout == b"asked\n"

    def test_a_process_that_holds_a_pipe_after_the_root_delays_no_caller(self) -> None:
        script = f"setsid sleep {LONG} & sleep {LONG} & echo $$"
        done = run(["sh", "-c", script], capture_output=True)
        assert done.returncode == 0
        assert_empty(int(done.stdout))

    def test_the_last_output_of_what_the_root_left_is_read(self, tmp_path: Path) -> None:
        until_the_root_is_dead = "(cat pipe; echo last) & exec 3>pipe"
        script = f"mkfifo pipe; {until_the_root_is_dead}; echo first"
        done = run(["sh", "-c", script], capture_output=True, cwd=tmp_path)
        assert done.stdout == b"first\nlast\n"

    def test_without_pipes_what_was_left_is_ended_as_well(self) -> None:
        reading, writing = os.pipe()
        run(["sh", "-c", f"setsid sleep {LONG} & sleep {LONG} & true"], pass_fds=[writing])
        os.close(writing)
        with os.fdopen(reading, "rb") as reader:
            assert reader.read() == b""

    @pytest.mark.parametrize("name", ["SIGINT", "SIGALRM"])
    def test_whatever_a_handler_raises_ends_the_tree(self, name: str) -> None:
        number = signal.Signals[name]

        def scene() -> int:
            signal.signal(number, interrupt)
            reading, writing = os.pipe()
            threading.Thread(target=lambda: kill_when_told(reading, number)).start()
            script = f"trap '' TERM INT; echo $$ >/dev/fd/{writing}; sleep {LONG} & sleep {LONG}"
            try:
                run(["sh", "-c", script], capture_output=True, pass_fds=[writing])
            except Interruption:
                return TOLD[0]
            raise AssertionError

        assert_empty(apart(scene))


# After the end of the root, which holds the pipe open until then.
AFTER_THE_ROOT = "mkfifo go; (read word <go; {}) & exec 3>go"
# A child that has its name by the time that the shell goes on.
SILENT = "mkfifo up; exec 3<>up; tail -fn1 /etc/passwd >&3 2>/dev/null & read line <&3"
# It lives on when its pipe is closed.
FOREVER = "(trap '' PIPE; while :; do echo line; sleep 0.1; done)"
ENOUGH = 1000.0  # seconds of linger; never pass in full


class TestLeftovers:
    """What becomes of the processes that are left when the root has ended."""

    def test_their_output_arrives_whole(self) -> None:
        steps = "for i in $(seq 1 20); do echo step $i; sleep 0.1; done; echo done"
        command = ["bash", "-c", f"({steps}) & echo started"]
        done = run(command, linger=ENOUGH, capture_output=True)
        assert len(done.stdout.splitlines()) == 22
        assert done.kill is None

    @pytest.mark.needs("bash")
    def test_a_log_is_complete(self, tmp_path: Path) -> None:
        for number in range(LOGS):
            zip_log(tmp_path / str(number), partial(run, linger=ENOUGH))

    def test_the_silent_are_ended_after_the_linger(self, tmp_path: Path) -> None:
        command = ["sh", "-c", f"{SILENT}; echo out"]
        done = run(command, linger=0.2, capture_output=True, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, b"out\n")
        assert done.kill
        assert [outcome.name for outcome in done.kill.outcomes if outcome.signals] == ["tail"]
        assert not done.kill.forced

    def test_each_byte_begins_the_linger_anew(self, tmp_path: Path) -> None:
        """Longer than the linger in all, and never silent for so long."""
        steps = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.6; done"
        script = AFTER_THE_ROOT.format(f"{steps}; echo done; exec sleep {LONG}")
        done = run(["sh", "-c", script], linger=3, stdout=subprocess.PIPE, cwd=tmp_path)
        assert done.stdout == b"1\n2\n3\n4\n5\n6\ndone\n"
        assert done.kill

    def test_without_linger_they_are_asked_at_once(self) -> None:
        script = f"(trap 'echo asked; kill $!; exit' TERM; echo there; sleep {LONG} & wait) &"
        done = run(["sh", "-c", f"{script} exit 3"], linger=0, capture_output=True)
        assert done.returncode == 3
        assert done.stdout in (b"there\nasked\n", b"")  # or it was asked before its trap was set
        assert done.kill

    def test_the_whole_tree_can_be_awaited(self, tmp_path: Path) -> None:
        script = AFTER_THE_ROOT.format("sleep 0.5; echo late")
        command = ["sh", "-c", script]
        done = run(command, leftovers="wait", linger=0, capture_output=True, cwd=tmp_path)
        assert (done.stdout, done.kill) == (b"late\n", None)

    @pytest.mark.usefixtures("ends_first")
    def test_the_wait_for_the_whole_tree_has_a_timeout(self) -> None:
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            run(["sh", "-c", f"echo $$; sleep {LONG} &"], leftovers="wait", timeout=0.5, stdout=-1)
        assert_empty(int(expired.value.stdout or 0))

    def test_at_the_timeout_output_that_is_coming_is_cut_off(self) -> None:
        script = f"echo $$; {FOREVER} &"
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            run(["sh", "-c", script], timeout=3, linger=ENOUGH, stdout=subprocess.PIPE)
        lines = (expired.value.stdout or b"").splitlines()
        assert lines[1]
        assert_empty(int(lines[0]))
        kill = expired.value.kill  # type: ignore[attr-defined] # ours
        assert Fate.KILLED in {outcome.fate for outcome in kill.outcomes}

    @pytest.mark.usefixtures("ends_first")
    def test_at_the_timeout_the_silent_lose_the_rest_of_their_linger(self) -> None:
        script = f"echo $$; sleep {LONG} & exit 3"
        done = run(["sh", "-c", script], timeout=0.5, linger=ENOUGH, capture_output=True)
        assert done.returncode == 3
        assert done.kill
        assert_empty(int(done.stdout))

    def test_they_can_be_left(self) -> None:
        done = run(["sh", "-c", f"sleep {LONG} & echo $!"], leftovers="leave", capture_output=True)
        assert done.kill is None
        assert psutil.Process(int(done.stdout)).status() != psutil.STATUS_ZOMBIE
        end_left(int(done.stdout))

    def test_what_was_printed_before_the_end_is_read_and_the_pipe_closed(
        self, tmp_path: Path
    ) -> None:
        """The size of a pipe, from a process that goes on printing."""
        reading, writing = os.pipe()
        after = f"yes; echo $? >/dev/fd/{writing}"
        script = f"mkfifo go; (read word <go; {after}) & exec 3>go; head -c 60000 /dev/zero"
        with os.fdopen(reading) as reader:
            options: dict[str, Any] = {"cwd": tmp_path, "pass_fds": [writing]}
            done = run(["sh", "-c", script], leftovers="leave", stdout=subprocess.PIPE, **options)
            os.close(writing)
            assert done.stdout.startswith(bytes(60000))
            assert int(reader.read()) == 128 + signal.SIGPIPE

    def test_an_output_that_is_no_text_ends_nothing_that_is_left(self) -> None:
        script = f"sleep {LONG} & printf '\\377'; echo $! >&2"
        reading, writing = os.pipe()
        options: dict[str, Any] = {"leftovers": "leave", "stderr": writing, "encoding": "utf-8"}
        with pytest.raises(UnicodeDecodeError):
            run(["sh", "-c", script], stdout=subprocess.PIPE, **options)
        os.close(writing)
        with os.fdopen(reading) as reader:
            left = psutil.Process(int(reader.readline()))
        assert left.status() != psutil.STATUS_ZOMBIE
        end_left(left.pid)

    def test_a_tree_that_is_left_has_no_record(self, tmp_path: Path) -> None:
        record = tmp_path / "session_a.pid"
        script = f"sleep {LONG} >&- 2>&- & echo $!"
        done = run(["sh", "-c", script], leftovers="leave", stdout=-1, record=record)
        end_left(int(done.stdout))
        assert list(tmp_path.iterdir()) == []

    def test_an_iterator_is_read_once(self) -> None:
        spare = Leftovers.read("end", 0, iter(["adb"]), kill_on_parent_exit=False).spare
        assert spare == ["adb"]

    def test_the_spared_count_neither_as_rest_nor_as_writers(self) -> None:
        script = f"{FOREVER} & echo $! >&2"
        command = ["sh", "-c", script]
        done = run(command, capture_output=True, linger=ENOUGH, spare=lambda m: m.name == "sh")
        pid = int(done.stderr)
        assert done.kill is None
        assert psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        end_left(pid)

    @pytest.mark.needs("procfs")
    def test_output_of_the_spared_does_not_extend_the_linger_of_the_rest(
        self, tmp_path: Path
    ) -> None:
        command = ["sh", "-c", f"{FOREVER} & echo $! >&2; {SILENT}; exit 0"]
        options: dict[str, Any] = {"linger": 0.5, "spare": lambda m: m.name == "sh"}
        done = run(command, capture_output=True, cwd=tmp_path, **options)
        end_left(int(done.stderr))
        assert done.kill
        assert [outcome.name for outcome in done.kill.outcomes if outcome.signals] == ["tail"]

    def test_an_interrupt_ends_the_linger(self, tmp_path: Path) -> None:
        def scene() -> int:
            signal.signal(signal.SIGALRM, interrupt)
            reading, writing = os.pipe()
            threading.Thread(target=lambda: kill_when_told(reading, signal.SIGALRM)).start()
            script = f"(read word <go; echo $$ >/dev/fd/{writing}; exec sleep {LONG}) & exec 3>go"
            command = ["sh", "-c", f"mkfifo go; {script}"]
            try:
                run(command, linger=ENOUGH, capture_output=True, pass_fds=[writing], cwd=tmp_path)
            except Interruption:
                return TOLD[0]
            raise AssertionError

        assert_empty(apart(scene))

    def test_a_failure_says_what_was_ended(self) -> None:
        with pytest.raises(subprocess.CalledProcessError) as failed:
            run(["sh", "-c", f"sleep {LONG} & exit 3"], check=True, linger=0)
        assert failed.value.kill.ok  # type: ignore[attr-defined] # ours


class TestOptions:
    """Pure."""

    @pytest.mark.parametrize("call", [run, arun])
    def test_the_signature_shows_every_option_with_its_default(self, call: Run) -> None:
        shown = inspect.signature(call).parameters
        defaults = {name: option.default for name, option in shown.items()}
        expected = {"timeout": None, "grace": 0, "linger": 1, "leftovers": "end", "spare": None}
        expected |= {"settle": None, "terminate": None, "teardown": None}
        expected |= {"cwd": None, "shell": False, "start_new_session": None, "text": None}
        assert {name: defaults[name] for name in expected} == expected
        assert shown.keys() >= {*inspect.signature(subprocess.Popen).parameters}
        assert all(option.kind is option.KEYWORD_ONLY for option in [*shown.values()][1:])

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"settle": -1}, "settle is -1"),
            ({"terminate": "all"}, "terminate is 'all'"),
            ({"teardown": ["INT 3"], "grace": 2.0}, "teardown takes 3 s; give one of them"),
        ],
    )
    def test_a_wrong_way_to_end_the_tree_is_refused(
        self, options: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(errors.PolicyError, match=told):
            run(["false"], check=True, **options)

    def test_a_typo_is_refused_with_the_nearest_name(self) -> None:
        with pytest.raises(
            TypeError, match=r"run\(\): 'timout' is unknown; did you mean 'timeout'"
        ):
            run(["true"], timout=1)  # type: ignore[call-overload] # that is the test
        with pytest.raises(TypeError, match=r"TreePopen\(\): 'lingr' .* did you mean 'linger'"):
            TreePopen(["true"], lingr=1)  # type: ignore[call-overload] # that is the test

    @pytest.mark.parametrize("call", [run, TreePopen])
    @pytest.mark.parametrize(
        ("options", "error", "text"),
        [
            ({"leftovers": "keep"}, ValueError, "'keep', expected 'end', 'wait' or 'leave'"),
            ({"linger": -1}, ValueError, "linger is -1"),
            ({"linger": float("nan")}, ValueError, "linger is nan"),
            ({"linger": "1"}, TypeError, "linger is '1', expected a number of seconds"),
            ({"spare": "all"}, TypeError, "spare must be pids"),
            ({"leftovers": "leave", "kill_on_parent_exit": True}, ValueError, "kill_on_parent"),
        ],
    )
    def test_wrong_options_start_nothing(
        self,
        call: Run,
        options: dict[str, Any],
        error: type[Exception],
        text: str,
        tmp_path: Path,
    ) -> None:
        with pytest.raises(error, match=text):
            call(["touch", "made"], cwd=tmp_path, **options)
        assert not (tmp_path / "made").exists()

    @pytest.mark.parametrize(
        ("options", "error", "text"),
        [
            ({"timeout": "1"}, TypeError, "timeout is '1', expected a number of seconds or None"),
            ({"timeout": float("nan")}, ValueError, "timeout is nan, expected a number"),
            ({"input": "x"}, TypeError, "input must be bytes where .* not text, not str"),
            ({"input": b"x", "text": True}, TypeError, "input must be a str .* text, not bytes"),
        ],
    )
    def test_wrong_options_of_run_start_nothing(
        self, options: dict[str, Any], error: type[Exception], text: str
    ) -> None:
        def started(_: object) -> None:
            msg = "a process was started"
            raise AssertionError(msg)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("proctree_kill._spawn.run.TreePopen", started)
            with pytest.raises(error, match=text):
                run(["true"], **options)

    def test_a_result_can_be_looked_at(self, tmp_path: Path) -> None:
        done = run(["sh", "-c", f"{SILENT}; exit 3"], linger=0, cwd=tmp_path)
        line = "sh ended with exit code 3; it left processes: 1 terminated in "
        assert repr(done).startswith(f"<CompletedTree not ok: {line}")
        heads, row, *_, last = str(done).splitlines()
        assert heads.split()[:3] == ["PID", "NAME", "FATE"]
        assert "tail" in row
        assert last.startswith(line)
        assert pickle.loads(pickle.dumps(done)).kill == done.kill  # noqa: S301 - our own


class TestAwaited:
    """The same, awaited."""

    def test_what_is_returned(self) -> None:
        done = asyncio.run(arun(["sh", "-c", "cat; exit 3"], input=b"in", capture_output=True))
        assert (done.returncode, done.stdout, done.stderr) == (3, b"in", b"")

    @pytest.mark.usefixtures("speaks_first")
    def test_the_timeout(self) -> None:
        script = f"sleep {LONG} & echo $$; sleep {LONG}"
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            asyncio.run(arun(["sh", "-c", script], timeout=0.3, capture_output=True))
        assert_empty(int(expired.value.stdout or 0))

    @pytest.mark.usefixtures("no_cgroup")
    def test_check_and_a_missing_program(self) -> None:
        with pytest.raises(subprocess.CalledProcessError):
            asyncio.run(arun(["false"], check=True))
        with pytest.raises(FileNotFoundError):
            asyncio.run(arun(["/nonexistent/program"]))
        with pytest.raises(errors.ContainmentError):
            asyncio.run(arun(["true"], containment="kernel"))

    def test_the_loop_goes_on_meanwhile(self) -> None:
        reading, writing = os.pipe()

        async def write() -> None:
            os.write(writing, b"said")
            os.close(writing)

        async def scene() -> bytes:
            running = arun(["cat"], stdin=reading, capture_output=True)
            done, _ = await asyncio.gather(running, write())
            os.close(reading)
            return done.stdout

        assert asyncio.run(scene()) == b"said"

    @pytest.mark.parametrize("library", ["asyncio", "trio"])
    def test_a_cancellation_ends_the_tree_and_comes_through(self, library: str) -> None:
        anyio = pytest.importorskip("anyio")
        reading, writing = os.pipe()
        script = f"trap '' TERM; echo $$ >/dev/fd/{writing}; sleep {LONG} & sleep {LONG}"

        async def scene() -> int:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cancelled_by_now)
                await anyio.wait_readable(reading)
                tasks.cancel_scope.cancel()
            return int(os.read(reading, 99))

        async def cancelled_by_now() -> None:
            await arun(["sh", "-c", script], pass_fds=[writing], capture_output=True)
            raise AssertionError

        session = anyio.run(scene, backend=library)
        os.close(reading)
        os.close(writing)
        assert_empty(session)

    def test_many_are_cancelled_at_once(self) -> None:
        async def scene() -> list[Any]:
            tasks = [
                asyncio.create_task(arun(["sh", "-c", f"sleep {LONG} & sleep {LONG}"]))
                for _ in range(20)
            ]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        before = {*psutil.Process().children()}
        ends = asyncio.run(scene())
        assert {type(end) for end in ends} == {asyncio.CancelledError}
        assert {*psutil.Process().children()} <= before


class Interruption(Exception):  # noqa: N818 - it is no error
    """What a signal handler raises."""


TOLD: list[int] = []


def interrupt(_number: int, _frame: object) -> None:
    """Raise in the middle of whatever the main thread does."""
    raise Interruption


def kill_when_told(reading: int, number: signal.Signals) -> None:
    """Interrupt this process when the tree has printed its session."""
    TOLD.append(int(os.read(reading, 99)))
    os.close(reading)
    os.kill(os.getpid(), number)


def end_left(pid: int) -> None:
    """Kill what a command has left in one group, and wait until it is dead."""
    session = os.getsid(pid)
    left = [process for process in psutil.process_iter() if in_session(process, session)]
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    psutil.wait_procs(left, BOUND)


def assert_empty(session: int) -> None:
    """Fail where a process lives in a session; its leader printed the number."""
    alive = [process for process in psutil.process_iter() if in_session(process, session)]
    assert alive == []


def in_session(process: psutil.Process, session: int) -> bool:
    """Whether a process lives in a session."""
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
