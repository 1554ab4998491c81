"""Real: markers lead to daemons, trees inside trees keep them apart, and programs lose them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from proctree_kill import Evidence, Fate, KillResult, TreePopen, kill_tree
from proctree_kill._containment.recalled import RecalledTree
from proctree_kill._systems import current
from support.callers import Caller, apart, unprivileged
from support.planter import LAUNCH, Planter
from support.storms import VFORK, build
from support.times import BOUND, PATIENCE

pytestmark = pytest.mark.needs("fork")

# A manager with a daemon of its own, and with another manager below it.
NEST = """
import json, os, sys
from proctree_kill import TreePopen
depth, pipe = int(sys.argv[1]), int(os.environ["NEST_PIPE"])
below = [sys.executable, __file__, str(depth - 1)]
inner = [TreePopen(below, pass_fds=[pipe])] if depth > 1 else []
daemon = TreePopen(["sh", "-c", "setsid sleep 1000 & echo $!"], stdout=-1)
pid = int(daemon.stdout.readline())
daemon.wait()  # the shell; its marker is that of the daemon
said = {"depth": depth, "pid": os.getpid(), "daemon": pid, "marker": daemon.containment.marker}
os.write(pipe, json.dumps(said).encode() + b"\\n")
for line in sys.stdin:
    pass
"""
# Write over the environment, as setproctitle does for a long title (proc_pid_stat(5)).
TITLED = """
import ctypes, os
fields = open("/proc/self/stat").read().rpartition(")")[2].split()
start, end = int(fields[47]), int(fields[48])
ctypes.memset(start, ord("x"), end - start)
print(os.getpid(), flush=True)
os.read(0, 1)
"""

# Be not dumpable, so that others of the same user may not read the environment (prctl(2)).
AGENT = """
import ctypes, os
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
print(flush=True)
os.read(0, 1)
"""


def test_trees_inside_trees_are_ended_each_by_itself(tmp_path: Path) -> None:
    with nest(tmp_path, depth=3) as (_, levels):
        for level in levels:
            result = kill_tree(RecalledTree(level["marker"]), grace=PATIENCE)
            assert result.ok
            assert [outcome.identity.pid for outcome in result.outcomes] == [level["daemon"]]


def test_trees_inside_trees_are_all_ended_from_the_top(tmp_path: Path) -> None:
    with nest(tmp_path, depth=3) as (outermost, levels):
        result = outermost.stop(grace=PATIENCE)
        assert result.ok
        ended = {outcome.identity.pid for outcome in result.outcomes}
        assert ended >= {pid for level in levels for pid in (level["pid"], level["daemon"])}


@pytest.mark.needs("procfs")
def test_a_program_that_writes_over_its_environment_loses_the_marker(tmp_path: Path) -> None:
    script = tmp_path / "titled.py"
    script.write_text(TITLED)
    command = ["sh", "-c", f"{sys.executable} -I -S {script}; true"]
    with TreePopen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        titled = int(process.stdout.readline())
        assert carries(process, process.pid)
        assert not carries(process, titled)
        result = process.stop(grace=PATIENCE)
        assert titled in {outcome.identity.pid for outcome in result.outcomes}


@pytest.mark.needs("sudo", "root")
def test_sudo_takes_the_marker_away_and_still_leads_to_its_child() -> None:
    command = ["sudo", "-n", "sh", "-c", "echo $$; exec sleep 1000"]
    with TreePopen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        assert carries(process, process.pid)
        assert not carries(process, child)
        result = process.stop(grace=PATIENCE)
        assert child in {outcome.identity.pid for outcome in result.outcomes}


@pytest.mark.needs("procfs")
@pytest.mark.usefixtures("no_cgroup")
def test_a_daemon_with_a_clean_environment_is_out_of_reach() -> None:
    script = "env -i setsid sh -c 'echo $$; exec sleep 1000' & read line"
    pipe = subprocess.PIPE
    process = TreePopen(["sh", "-c", script], stdin=pipe, stdout=pipe)
    assert process.stdout
    with process.stdout:
        daemon = psutil.Process(int(process.stdout.readline()))
    process.communicate()
    assert process.snapshot().members == ()
    assert process.stop().ok
    assert daemon.is_running()
    daemon.kill()
    daemon.wait(BOUND)


def test_a_process_that_still_carries_the_marker_leads_to_its_children(tmp_path: Path) -> None:
    """A daemon that kept its environment has a child that did not."""
    script = tmp_path / "daemon"
    script.write_text("env -i sh -c 'echo $$; exec sleep 1000' & wait")
    process = TreePopen(["setsid", "-f", "sh", script], stdout=subprocess.PIPE)
    assert process.stdout
    with process.stdout:
        child = int(process.stdout.readline())
    process.wait(BOUND)
    result = process.stop(grace=PATIENCE)
    found = {outcome.identity.pid: outcome for outcome in result.outcomes}
    assert Evidence.MARKER not in found[child].evidence
    assert found[child].fate is Fate.TERMINATED


@pytest.mark.needs("procfs", "cc")
@pytest.mark.usefixtures("no_cgroup")
def test_a_daemon_that_waits_for_its_vfork_is_found_by_its_marker(tmp_path: Path) -> None:
    argv = [sys.executable, "-I", "-S", "-c", LAUNCH, str(build(VFORK, tmp_path))]
    with Planter(in_cgroups=False) as plant:
        with plant.prepare() as prepared:
            process = TreePopen(argv, stdin=subprocess.PIPE, **prepared.options)
            prepared.tree.root = process
        prepared.tree.await_started("parent")
        process.wait(BOUND)
        result = process.stop(grace=0)
        assert prepared.tree.all_dead()
    assert result.ok
    assert set(result.verified) >= {Evidence.DESCENDANT, Evidence.MARKER}


@pytest.mark.needs("procfs", "root")
@pytest.mark.parametrize("older", [True, False])
def test_only_a_younger_process_that_hides_its_environment_puts_a_marker_in_doubt(
    *, older: bool
) -> None:
    """As ssh-agent does: it lets no process of its own user read its memory (prctl(2))."""
    caller = Caller(name="ordinary user", ordinary=True, cgroup=False)
    assert caller.account
    agent = [caller.account.interpreter, "-I", "-S", "-c", AGENT]

    def stop() -> KillResult:
        with caller.means(), unprivileged(caller.account):
            first = subprocess.Popen(agent, stdin=-1, stdout=-1)
            assert first.stdout
            first.stdout.readline()
            with TreePopen(["sleep", "1000"]) as process:
                second = [] if older else [subprocess.Popen(agent, stdin=-1, stdout=-1)]
                for started in second:
                    assert started.stdout
                    started.stdout.readline()
                result = process.stop(grace=0)
            for started in (first, *second):
                started.communicate()
            return result

    result = apart(stop)
    assert result.ok
    assert (Evidence.MARKER in result.verified) is older


def carries(process: TreePopen[bytes], pid: int) -> bool:
    """Whether a process carries the marker of a tree."""
    with current() as system:
        return system.carries(pid, [process.containment.marker.encode()]) is True


@contextmanager
def nest(folder: Path, depth: int) -> Iterator[tuple[TreePopen[bytes], list[dict[str, Any]]]]:
    """Start managers inside managers and return what each has written, the innermost first."""
    script = folder / "nest.py"
    script.write_text(NEST)
    reader, pipe = os.pipe()
    env = {**os.environ, "NEST_PIPE": str(pipe)}
    command = [sys.executable, str(script), str(depth)]
    with (
        os.fdopen(reader, "rb") as said,
        TreePopen(command, stdin=subprocess.PIPE, env=env, pass_fds=[pipe]) as outermost,
    ):
        os.close(pipe)
        levels = [json.loads(said.readline()) for _ in range(depth)]
        yield outermost, sorted(levels, key=lambda level: int(level["depth"]))
        outermost.stop(grace=PATIENCE)
