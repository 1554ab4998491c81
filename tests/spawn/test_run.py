"""Real: run and arun are subprocess.run, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from proctree_kill import arun, errors, run
from support.callers import apart

pytestmark = pytest.mark.needs("fork")

PYTHON = [sys.executable, "-I", "-S", "-c"]
MARGIN = 5.0  # seconds that a promised time may be missed by on a machine that is busy
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
    def test_the_output_so_far_at_the_timeout(self, run: Run) -> None:
        script = f"echo early; exec sleep {LONG}"
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            run(["sh", "-c", script], timeout=0.3, text=True, stdout=subprocess.PIPE)
        assert expired.value.timeout == 0.3
        assert expired.value.stdout == b"early\n"
        assert expired.value.stderr is None

    @RUNS
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

    def test_the_timeout_ends_grandchildren_that_hold_the_pipes(self) -> None:
        begin = time.monotonic()
        script = f"echo $$; sleep {LONG} & sleep {LONG}"
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            run(["sh", "-c", script], timeout=0.5, capture_output=True)
        assert time.monotonic() - begin < 0.5 + MARGIN
        assert_empty(int(expired.value.stdout or 0))

    def test_the_timeout_forces_what_ignores_the_request(self) -> None:
        script = f"trap '' TERM; echo $$; sleep {LONG} & sleep {LONG}"
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            run(["sh", "-c", script], timeout=0.3, capture_output=True)
        assert_empty(int(expired.value.stdout or 0))

    def test_a_grace_asks_first(self) -> None:
        polite = f"trap 'echo asked; exit' TERM; echo early; while :; do sleep {LONG} & wait; done"
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            run(["sh", "-c", polite], timeout=0.3, grace=10, capture_output=True)
        assert expired.value.stdout == b"early\nasked\n"

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


class TestAwaited:
    """The same, awaited."""

    def test_what_is_returned(self) -> None:
        done = asyncio.run(arun(["sh", "-c", "cat; exit 3"], input=b"in", capture_output=True))
        assert (done.returncode, done.stdout, done.stderr) == (3, b"in", b"")

    def test_the_timeout(self) -> None:
        script = f"echo $$; sleep {LONG} & sleep {LONG}"
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

        ends = asyncio.run(scene())
        assert {type(end) for end in ends} == {asyncio.CancelledError}
        assert psutil.Process().children() == []


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
