"""Real, on every system: run and its pipes, with trees of Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import Any, Literal

import psutil
import pytest

from proctree_kill import TreePopen, run
from proctree_kill._spawn.tree_cpu import TreeCpu
from support.readiness import await_in_starts, has_made
from support.times import BOUND

PYTHON = [sys.executable, "-I", "-S", "-c"]
# Starts a copy of itself that has the rest of its arguments as its code, and leaves.
LEAVE = "import subprocess, sys; subprocess.Popen([sys.executable, '-I', '-S', '-c', sys.argv[1]])"
STEPS = """
import time
for step in range(5):
    print(step, flush=True)
    time.sleep(0.2)
print('done', flush=True)
"""
SILENT = "import time; time.sleep(1000)"
ENOUGH = 25.0  # seconds of linger; never pass in full
LATE = "import time; time.sleep(0.5); open('log', 'w').write('late')"


def test_much_at_once_in_both_directions() -> None:
    much = bytes(range(256)) * (1 << 12)
    copy = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
    assert run([*PYTHON, copy], input=much, capture_output=True).stdout == much


def test_text_and_both_outputs() -> None:
    code = "import sys; print(input().upper()); print('err', file=sys.stderr)"
    done = run([*PYTHON, code], input="word\n", capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.kill) == ("WORD\n", "err\n", None)


def test_a_program_that_does_not_read_its_input() -> None:
    assert run([*PYTHON, "pass"], input=bytes(1 << 20)).returncode == 0


def test_output_of_what_was_left_arrives_whole() -> None:
    done = run([*PYTHON, LEAVE, STEPS], linger=ENOUGH, capture_output=True, text=True)
    assert done.stdout.split() == ["0", "1", "2", "3", "4", "done"]
    assert done.kill is None


def test_the_silent_are_ended_and_named() -> None:
    done = run([*PYTHON, LEAVE, SILENT], linger=0.2, capture_output=True)
    assert done.kill
    assert done.kill.ok
    assert [outcome for outcome in done.kill.outcomes if outcome.signals]


@pytest.fixture
def early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return code that writes a word and stays; no time begins before it has."""
    path = tmp_path / "up"
    await_in_starts(monkeypatch, has_made(path))
    return f"print('early', flush=True); open({str(path)!r}, 'x').close(); {SILENT}"


def test_a_timeout_ends_the_tree(early: str) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as expired:
        run([*PYTHON, early], timeout=0.3, capture_output=True)
    assert (expired.value.stdout or b"").split() == [b"early"]


@pytest.mark.needs("fork")  # in Wine a Python that sleeps uses over 2 % of a core
def test_an_idle_tree_is_ended(early: str) -> None:
    with pytest.raises(subprocess.TimeoutExpired, match=r"was idle for 3 seconds") as expired:
        run([*PYTHON, early], idle_timeout=3, stdout=PIPE)
    assert (expired.value.stdout or b"").split() == [b"early"]


@pytest.mark.parametrize("containment", ["auto", "session"])
def test_the_processor_time_of_a_tree_is_known(
    containment: Literal["auto", "session"],
) -> None:
    code = f"print('early', flush=True); {SILENT}"
    with TreePopen([*PYTHON, code], containment=containment, stdout=PIPE) as tree:
        assert tree.stdout
        tree.stdout.readline()
        cpu = TreeCpu(tree, None)
        first, second = cpu.read(), cpu.read()
        tree.stop(grace=0)
    assert first.used
    assert second.since(first) is not None


def test_what_was_left_goes_on_if_that_is_wanted(tmp_path: Path) -> None:
    say = f"import os; print(os.getpid(), flush=True); {SILENT}"
    started = "import subprocess, sys; child = subprocess.Popen([sys.executable, '-I', '-S', '-c', "
    started += "sys.argv[1]], stdout=subprocess.PIPE); print(int(child.stdout.readline()))"
    done = run([*PYTHON, started, say], leftovers="leave", capture_output=True, cwd=tmp_path)
    left = psutil.Process(int(done.stdout))
    assert left.is_running()
    left.kill()
    left.wait(BOUND)


@pytest.mark.parametrize("options", [{"linger": ENOUGH}, {"leftovers": "wait", "linger": 0}])
def test_a_block_lets_what_was_left_finish(options: dict[str, Any], tmp_path: Path) -> None:
    with TreePopen([*PYTHON, LEAVE, LATE], cwd=tmp_path, **options):
        pass
    assert (tmp_path / "log").read_text() == "late"
