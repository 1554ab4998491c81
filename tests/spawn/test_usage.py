"""Real: what contained trees and commands used, while they run and after their end."""

from __future__ import annotations

import subprocess
import time
from typing import Any, Literal

import pytest

from proctree_kill import Containment, Fate, TreePopen, Usage, kill_tree, run
from proctree_kill._cli import main
from proctree_kill._systems.contract import CellUsage
from support.burning import (
    BURN,
    BURN_IN_CHILD,
    BURN_IN_ORPHAN,
    HELD,
    HOLD,
    PYTHON,
    READY,
    SECONDS,
    SEEN,
)
from support.callers import apart
from support.times import LONG

pytestmark = pytest.mark.needs("fork")

LATE = 5.0  # seconds of CPU time that the rest of a start may take
CONTAINMENTS = pytest.mark.parametrize(
    "containment",
    ["session", pytest.param("kernel", marks=pytest.mark.needs("cgroup"))],
)
# What starts when it is told to, so that it is inside its cgroup then.
TOLD = "import sys\nsys.stdin.readline()\n"
LEFT = f"import subprocess\nsubprocess.Popen(['sleep', '{LONG}'])\n"
Kind = Literal["session", "kernel"]


def burn() -> None:
    """Use a known amount of CPU time."""
    until = time.process_time() + SECONDS
    while time.process_time() < until:
        pass


def started(containment: Kind, *code: str) -> TreePopen[bytes]:
    """Start this code, which waits to be told, and wait until it has done all but the end."""
    process = TreePopen(
        [*PYTHON, TOLD + "".join(code) + READY],
        containment=containment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.fixture
def out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each cgroup tell that the kernel has ended a process for want of memory."""
    from proctree_kill._systems.linux import cgroup  # noqa: PLC0415 - not on every system

    def usage(_: object) -> CellUsage:
        return CellUsage(1.0, 0.5, 2**20, 3, out_of_memory=True)

    monkeypatch.setattr(cgroup.TreeCgroup, "usage", usage)


@pytest.mark.needs("cgroup")
def test_what_a_root_used_before_it_was_in_its_own_cgroup_counts() -> None:
    def scene() -> float:
        with TreePopen(["cat"], stdin=subprocess.PIPE, preexec_fn=burn) as process:
            return process.usage().cpu

    assert SEEN <= apart(scene) < SECONDS + LATE


@CONTAINMENTS
@pytest.mark.parametrize(
    "code", [BURN, BURN_IN_CHILD, BURN_IN_ORPHAN], ids=["root", "reaped child", "orphan"]
)
def test_a_tree_tells_its_cpu_time_while_it_runs_and_when_it_has_ended(
    containment: Kind, code: str
) -> None:
    with started(containment, code) as process:
        running = process.usage()
        result = process.stop(grace=0)
    assert running.cpu >= SEEN
    assert result.usage
    assert result.usage.cpu >= running.cpu
    assert process.usage() == result.usage
    assert result.usage.processes >= 1 + (code == BURN_IN_ORPHAN)


@CONTAINMENTS
def test_a_tree_tells_its_memory(containment: Kind) -> None:
    with started(containment, HOLD) as process:
        running = process.usage()
        result = process.stop(grace=0)
    assert running.peak_memory
    assert running.peak_memory >= HELD
    assert result.usage
    assert result.usage.peak_memory
    assert result.usage.peak_memory >= running.peak_memory


@pytest.mark.needs("cgroup")
def test_the_figures_of_a_cgroup_are_complete_where_it_counts_memory() -> None:
    with started("kernel", BURN_IN_ORPHAN) as process:
        cgroup = process.containment.cgroup
        assert cgroup
        counts_memory = (cgroup / "memory.peak").exists()
        result = process.stop(grace=0)
    assert result.usage
    assert result.usage.complete is counts_memory


@pytest.mark.needs("cgroup")
@pytest.mark.usefixtures("out_of_memory")
def test_a_cgroup_that_counts_everything_is_believed() -> None:
    with started("kernel", HOLD) as process:
        result = process.stop(grace=0)
    told = Usage(
        user=1, system=0.5, peak_memory=2**20, processes=3, out_of_memory=True, complete=True
    )
    assert result.usage == told
    assert result.summary().endswith("; out of memory")


@pytest.mark.needs("cgroup")
@pytest.mark.usefixtures("out_of_memory")
def test_a_root_that_the_kernel_ended_for_want_of_memory_says_so() -> None:
    process = TreePopen(["sh", "-c", "kill -KILL $$"], containment="kernel")
    assert process.wait() == -9
    assert process.usage().out_of_memory
    result = process.stop()
    assert result.root
    assert result.root.fate is Fate.ALREADY_GONE
    assert "out of memory" in str(result.root.detail)
    assert "out of memory" in str(result)


@pytest.mark.needs("cgroup")
@pytest.mark.usefixtures("out_of_memory")
def test_a_process_that_ended_in_another_way_does_not_blame_the_memory() -> None:
    process = TreePopen(["sh", "-c", "exit 3"], containment="kernel")
    process.wait()
    result = process.stop()
    assert result.root
    assert "memory" not in str(result.root.detail)
    assert "out of memory" in str(result)


@pytest.mark.needs("cgroup")
def test_a_root_that_was_moved_into_its_cgroup_leaves_the_figures_incomplete() -> None:
    containment = Containment.prepare("kernel")
    with subprocess.Popen(
        [*PYTHON, READY], stdin=subprocess.PIPE, **containment.popen_kwargs()
    ) as process:
        containment.attach(process)
        result = kill_tree(containment, grace=0)
    assert result.usage
    assert not result.usage.complete


@CONTAINMENTS
@pytest.mark.parametrize("code", [BURN, BURN_IN_CHILD], ids=["root", "reaped child"])
def test_a_command_that_ended_by_itself_tells_what_it_used(containment: Kind, code: str) -> None:
    done = run([*PYTHON, TOLD + code], containment=containment, input=b"\n", capture_output=True)
    assert done.usage
    assert done.usage.cpu >= SEEN
    assert done.usage.processes >= 1


def test_what_a_root_used_counts_when_what_it_left_is_ended() -> None:
    done = run([*PYTHON, BURN + LEFT], containment="session", linger=0)
    assert done.kill
    assert done.kill.usage
    assert done.usage == done.kill.usage
    assert done.usage.cpu >= SEEN


def test_the_exceptions_of_run_tell_what_the_command_used() -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run([*PYTHON, f"{BURN}raise SystemExit(1)"], containment="session", check=True)
    assert used(failed.value).cpu >= SEEN
    with pytest.raises(subprocess.TimeoutExpired) as expired:
        run(["sleep", "1000"], timeout=0)
    assert used(expired.value).processes >= 1


def used(error: BaseException) -> Usage:
    usage: Any = vars(error)["usage"]
    assert isinstance(usage, Usage)
    return usage


@pytest.mark.needs("cgroup")
@pytest.mark.usefixtures("out_of_memory")
def test_a_command_that_ran_out_of_memory_says_so() -> None:
    done = run(["true"], containment="kernel")
    assert str(done) == "true ended with exit code 0; out of memory"


@pytest.mark.needs("cgroup")
@pytest.mark.usefixtures("out_of_memory")
@pytest.mark.parametrize("script", ["exit 0", "sleep 1000 & exit 0"])
def test_the_command_line_says_that_a_command_was_out_of_memory(
    script: str, capfd: pytest.CaptureFixture[str]
) -> None:
    main(["run", "--containment", "kernel", "--linger", "0", "--", "sh", "-c", script])
    said = [line for line in capfd.readouterr().err.splitlines() if "out of memory" in line]
    assert len(said) == 1


def test_a_containment_without_a_process_has_used_nothing() -> None:
    containment = Containment.prepare("session")
    assert containment.usage() == Usage(user=0, system=0, processes=0)
    containment.release()
