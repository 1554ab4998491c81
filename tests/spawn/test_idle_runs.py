"""Real: run and arun end a tree that is idle, and none that works."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import pytest

from proctree_kill import Fate, ProcessIdentity, TreeMember, TreePopen, arun, kill_tree, run
from proctree_kill._engine.spare import Spare
from proctree_kill._spawn import tree_cpu
from proctree_kill._spawn.leftovers import Leftovers, Rest
from proctree_kill._spawn.time_limit import TimeLimit
from proctree_kill._spawn.tree_cpu import TreeCpu, idle_clock
from support.cgroups import usable_cgroup
from support.times import BOUND, LONG

pytestmark = pytest.mark.needs("fork")

PYTHON = [sys.executable, "-I", "-S", "-c"]
SHORT = 0.3  # seconds, for what needs not have started by then
STEADY = 1.0  # seconds, in which a process that computes gets 2 % of a core on a busy machine too
SLOW = 2.0  # seconds, in which a program has also started
CONTAINED = pytest.mark.parametrize("containment", ["auto", "session"])
# Says that it is up, computes for some seconds, says so where no byte is read, and stays.
COMPUTE = """
import os, sys, time
os.write(1, b"u")
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end: pass
open(sys.argv[2], "x").close()
time.sleep(float(sys.argv[3]))
"""
# A shell whose children compute, and end before they are seen twice.
SHORT_CHILDREN = """
echo
for i in 1 2 3 4 5 6 7 8; do "$0" -I -S -c "import time
end = time.monotonic() + 0.2
while time.monotonic() < end: pass"; done
: > "$1"; exec sleep 1000
"""
# Uses half a percent of a core, as a server with a timer.
TIMER = """
import time
while True:
    time.sleep(0.2)
    end = time.process_time() + 0.001
    while time.process_time() < end: pass
"""
# Has a child that computes and ends, and does not wait for it.
UNREAPED = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
if (child := os.fork()) == 0:
    while time.process_time() < 0.5: pass
    os._exit(0)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
os.write(1, b"u")
time.sleep(1000)
"""
PRINT = """
import os, time
end = time.monotonic() + 3.5
while time.monotonic() < end:
    os.write(1, b".")
    time.sleep(0.05)
"""
# The command is moved out of its cgroup, as su(1) has its processes moved to those of a user.
LEAVE = f"""
(echo "$(exec sh -c 'echo $PPID')" > "$0/cgroup.procs"; exec "$@") &
exec sleep {LONG}
"""


def idle(args: list[str], seconds: float, **options: Any) -> Any:  # noqa: ANN401 - subprocess's error has less
    """Run a command that is to be found idle; return what is raised."""
    with pytest.raises(subprocess.TimeoutExpired) as raised:
        run(args, idle_timeout=seconds, timeout=BOUND, **options)
    error: Any = raised.value
    assert error.reason == "idle_timeout"
    return error


def await_idle(tree: TreePopen[bytes], spare: Spare | None = None) -> None:
    """Wait until a tree that has written a byte is idle."""
    assert tree.stdout
    tree.stdout.read(1)
    limit = TimeLimit(time.monotonic() + BOUND, idle_clock(tree, STEADY, spare))
    rest = Rest(tree, Leftovers.read("end", 0, spare, kill_on_parent_exit=False))
    assert not rest.await_root(limit)
    assert limit.reason == "idle_timeout"


class TestIdle:
    @CONTAINED
    @pytest.mark.usefixtures("speaks_first")
    def test_a_silent_tree_is_ended(self, containment: str) -> None:
        script = f"sleep {LONG} & echo; exec sleep {LONG}"
        options = {"containment": containment, "stdout": subprocess.PIPE}
        error = idle(["sh", "-c", script], SLOW, **options)
        assert error.timeout == SLOW
        assert str(error) == f"Command ['sh', '-c', '{script}'] was idle for 2.0 seconds"
        assert [outcome.fate for outcome in error.kill.outcomes] == [Fate.KILLED] * 2

    @pytest.mark.usefixtures("speaks_first")
    def test_the_output_until_then_is_kept(self) -> None:
        script = f"echo err >&2; echo out; exec sleep {LONG}"
        error = idle(["sh", "-c", script], SLOW, capture_output=True)
        assert (error.stdout, error.stderr) == (b"out\n", b"err\n")

    def test_the_error_can_be_pickled(self) -> None:
        error = pickle.loads(pickle.dumps(idle(["sleep", "1000"], SHORT)))  # noqa: S301 - our own
        assert (error.cmd, error.timeout, error.reason) == (["sleep", "1000"], 0.3, "idle_timeout")
        assert "was idle for 0.3 seconds" in str(error)
        assert error.kill.ok

    @CONTAINED
    def test_a_server_with_a_timer_is_idle(self, containment: str) -> None:
        idle([*PYTHON, TIMER], STEADY, containment=containment)

    @CONTAINED
    def test_a_stopped_tree_is_idle(self, containment: str) -> None:
        idle(["sh", "-c", "kill -STOP $$"], SHORT, containment=containment)

    @pytest.mark.usefixtures("speaks_first")
    def test_the_grace_applies(self) -> None:
        polite = f"trap 'echo asked; exit' TERM; echo up; while :; do sleep {LONG} & wait; done"
        error = idle(["sh", "-c", polite], SLOW, grace=BOUND, stdout=subprocess.PIPE)
        assert error.stdout == b"up\nasked\n"

    @pytest.mark.usefixtures("speaks_first")
    def test_a_hanging_rest_that_is_waited_for_is_idle(self) -> None:
        script = f"sleep {LONG} & echo started"
        error = idle(["sh", "-c", script], SLOW, leftovers="wait", stdout=subprocess.PIPE)
        assert error.stdout == b"started\n"

    @pytest.mark.usefixtures("ends_first")
    def test_a_rest_that_is_idle_ends_its_linger(self) -> None:
        script = f"sleep {LONG} & echo started"
        done = run(
            ["sh", "-c", script], capture_output=True, linger=LONG, idle_timeout=SLOW, timeout=LONG
        )
        assert done.stdout == b"started\n"
        assert done.kill
        assert done.kill.ok

    def test_what_is_awaited_is_ended_too(self) -> None:
        with pytest.raises(subprocess.TimeoutExpired, match=r"was idle for 0\.3 seconds") as raised:
            asyncio.run(arun(["sleep", str(LONG)], idle_timeout=SHORT, timeout=BOUND))
        assert getattr(raised.value, "reason", None) == "idle_timeout"


class TestBusy:
    def test_a_silent_command_that_computes_is_ended_only_after_that(self, tmp_path: Path) -> None:
        done = tmp_path / "done"
        idle([*PYTHON, COMPUTE, "2.5", str(done), str(LONG)], SLOW)
        assert done.exists()

    def test_a_rest_that_computes_is_waited_for(self, tmp_path: Path) -> None:
        compute = [*PYTHON, COMPUTE, "2.5", str(tmp_path / "done"), "0"]
        assert run(["sh", "-c", '"$@" &', "sh", *compute], leftovers="wait", idle_timeout=SLOW).ok
        assert (tmp_path / "done").exists()

    def test_a_command_that_prints_is_busy(self) -> None:
        done = run([*PYTHON, PRINT], stdout=subprocess.PIPE, idle_timeout=3)
        assert done.ok
        assert done.stdout

    @CONTAINED
    def test_a_tree_that_computes_is_idle_only_after_that(
        self, containment: Literal["auto", "session"], tmp_path: Path
    ) -> None:
        done = tmp_path / "done"
        compute = [*PYTHON, COMPUTE, "1.5", str(done), str(LONG)]
        with TreePopen(compute, containment=containment, stdout=subprocess.PIPE) as tree:
            await_idle(tree)
            tree.stop(grace=0)
        assert done.exists()

    def test_children_that_compute_and_end_count(self, tmp_path: Path) -> None:
        done = tmp_path / "done"
        command = ["sh", "-c", SHORT_CHILDREN, sys.executable, str(done)]
        with TreePopen(command, containment="session", stdout=subprocess.PIPE) as tree:
            await_idle(tree)
            tree.stop(grace=0)
        assert done.exists()

    @pytest.mark.needs("cgroup")
    def test_a_member_that_left_the_cgroup_counts(self, tmp_path: Path) -> None:
        done = tmp_path / "done"
        compute = [*PYTHON, COMPUTE, "1.5", str(done), str(LONG)]
        command = ["sh", "-c", LEAVE, str(usable_cgroup()), *compute]
        with TreePopen(command, containment="kernel", stdout=subprocess.PIPE) as tree:
            await_idle(tree)
            assert tree.containment.cgroup
            inside = (tree.containment.cgroup / "cgroup.procs").read_text()
            assert inside.split() == [str(tree.pid)]
            tree.stop(grace=0)
        assert done.exists()


@CONTAINED
def test_spared_processes_and_their_children_do_not_count(
    containment: Literal["auto", "session"], tmp_path: Path
) -> None:
    spared: list[ProcessIdentity] = []

    def is_spared(member: TreeMember) -> bool:
        return member.depth == 1

    script = f'sh -c \'"$@" & exec sleep {LONG}\' "$@" & exec sleep {LONG}'
    compute = [*PYTHON, COMPUTE, "100", str(tmp_path / "done"), "0"]
    command = ["sh", "-c", script, "sh", "sh", *compute]
    with TreePopen(command, containment=containment, stdout=subprocess.PIPE) as tree:
        try:
            await_idle(tree, is_spared)
        finally:
            result = tree.stop(grace=0, spare=is_spared)
            spared = [found.identity for found in result.outcomes if found.fate == Fate.SPARED]
            kill_tree(spared, grace=0)
    assert len(spared) == 2


@CONTAINED
def test_a_reading_has_the_cell_or_each_process(
    containment: Literal["auto", "session"],
) -> None:
    script = f"for i in 1 2 3 4 5; do sleep {LONG} & done; echo; exec sleep {LONG}"
    with TreePopen(["sh", "-c", script], containment=containment, stdout=subprocess.PIPE) as tree:
        assert tree.stdout
        tree.stdout.read(1)
        reading = TreeCpu(tree, None).read()
        assert reading.used is not None
        assert len(reading.used) == (1 if tree.containment.kernel else 6)
        tree.stop(grace=0)


@pytest.mark.needs("procfs")
@pytest.mark.parametrize("spare", [None, ["no program"]])
def test_a_reading_has_the_children_that_were_not_waited_for(
    spare: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_cpu, "LOOK_TIME", BOUND)
    command = [*PYTHON, UNREAPED]
    with TreePopen(command, containment="session", stdout=subprocess.PIPE) as tree:
        assert tree.stdout
        tree.stdout.read(1)
        cpu = TreeCpu(tree, spare)
        first, second = cpu.read(), cpu.read()
        tree.stop(grace=0)
    assert first.used is not None
    assert second.used is not None
    assert sum(first.used.values()) > 0.4  # of 0.5, in ticks of the system
    assert second.used.keys() == first.used.keys()  # so that it counts once


@pytest.mark.needs("cgroup")
def test_a_cell_that_is_gone_does_not_tell() -> None:
    with TreePopen(["sleep", str(LONG)], containment="kernel") as tree:
        cpu = TreeCpu(tree, None)
        assert cpu.read().used
        tree.stop(grace=0)
        assert cpu.read().used is None


class TestOptions:
    def test_the_timeout_has_its_reason(self) -> None:
        given: list[dict[str, Any]] = [{"timeout": 0.2}, {"max_lifetime": 0.2}]
        for options in given:
            with pytest.raises(subprocess.TimeoutExpired, match=r"timed out after 0\.2") as raised:
                run(["sleep", str(LONG)], idle_timeout=LONG, **options)
            assert getattr(raised.value, "reason", None) == "timeout"

    def test_timeout_and_max_lifetime_are_the_same(self) -> None:
        with pytest.raises(ValueError, match="max_lifetime is another word for timeout"):
            run(["true"], timeout=1, max_lifetime=1)

    def test_a_cancellation_ends_an_idle_tree(self) -> None:
        async def cancelled() -> None:
            task = asyncio.create_task(arun(["sleep", str(LONG)], idle_timeout=LONG))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(asyncio.wait_for(cancelled(), BOUND))
