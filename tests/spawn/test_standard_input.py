"""Real: the pipe to a root's standard input is closed before the first signal."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any

import pytest

from proctree_kill import Fate, KillResult, TreePopen
from proctree_kill._engine import plan
from support.times import BOUND, LONG, PATIENCE

pytestmark = pytest.mark.needs("fork")

SHARE = 0.01  # of the grace, for what reads its input to the end
Start = Callable[[str], TreePopen[bytes]]
PYTHON = [sys.executable, "-I", "-S", "-c"]
SERVER = "import sys; print('ready', flush=True); sys.stdin.read(); sys.exit(7)"
TALKATIVE = (
    "import os, sys; print('ready', flush=True); sys.stdin.read(); os.write(1, bytes(1 << 20))"
)
IDLE = "import signal; print('ready', flush=True); signal.pause()"


@pytest.fixture
def _small_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the first signal soon, and a long time for what it brings."""
    monkeypatch.setattr(plan, "INPUT_SHARE", SHARE)


small_share = pytest.mark.usefixtures("_small_share")


@pytest.fixture
def start() -> Iterator[Start]:
    """Start programs of Python with pipes, and wait until each is ready."""
    started: list[TreePopen[bytes]] = []

    def start(program: str) -> TreePopen[bytes]:
        pipe = subprocess.PIPE
        process = TreePopen([*PYTHON, program], stdin=pipe, stdout=pipe)
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        with process:
            process.stop(grace=0)


def test_a_server_that_exits_at_the_end_of_its_input_gets_no_signal(start: Start) -> None:
    process = start(SERVER)
    root = ended(process.stop(grace=LONG))
    assert (root.fate, root.signals, root.exit_code) == (Fate.TERMINATED, (), 7)
    assert process.returncode == 7


@small_share
def test_a_root_that_does_not_read_is_signalled_after_its_share(start: Start) -> None:
    root = ended(start(IDLE).stop(grace=PATIENCE))
    assert (root.fate, root.signals) == (Fate.TERMINATED, ("SIGTERM", "SIGCONT"))
    assert root.seconds
    assert root.seconds >= PATIENCE * SHARE


def test_what_a_buffer_still_holds_is_sent_first(start: Start) -> None:
    echo = "import sys; print('ready', flush=True); print(sys.stdin.read())"
    process = start(echo)
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"sent")
    process.stop(grace=LONG)
    assert process.stdout.read() == b"sent\n"


@small_share
def test_a_full_pipe_does_not_keep_the_caller(start: Start) -> None:
    process = start(IDLE)
    assert process.stdin
    raw: Any = process.stdin
    raw.raw.write(bytes(1 << 16))  # all that a pipe holds
    process.stdin.write(b"more")
    root = ended(process.stop(grace=PATIENCE))
    assert root.fate is Fate.TERMINATED


@small_share
def test_a_thread_that_is_stuck_in_a_write_does_not_keep_the_caller(start: Start) -> None:
    process = start(IDLE)
    stdin = process.stdin
    assert stdin
    writer = threading.Thread(target=write_much, args=[stdin])
    writer.start()
    assert ended(process.stop(grace=PATIENCE)).fate is Fate.TERMINATED
    writer.join(BOUND)
    assert not writer.is_alive()


@small_share
def test_a_server_that_has_more_to_say_than_a_pipe_holds_is_ended_in_time(start: Start) -> None:
    process = start(TALKATIVE)
    root = ended(process.stop(grace=PATIENCE))
    assert root.fate is Fate.TERMINATED
    assert root.signals == ("SIGTERM", "SIGCONT")


def write_much(stdin: IO[bytes]) -> None:
    """Write more than a pipe holds; the reader dies meanwhile."""
    with suppress(BrokenPipeError):
        stdin.write(bytes(1 << 20))


def ended(result: KillResult) -> Any:  # noqa: ANN401 - an outcome that is there
    """Return the outcome of the root, the only process."""
    assert result.ok
    assert len(result.outcomes) == 1
    return result.root
