"""Real, where Windows has them: trees in job objects of their own."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import (
    Containment,
    Evidence,
    Limits,
    SessionManager,
    TreePopen,
    errors,
    kill_tree,
    recover,
    run,
)
from proctree_kill._systems.windows.job import TreeJob
from support.capabilities import has
from support.nodes import chain
from support.socket_planter import SocketPlanter
from support.times import BOUND

pytestmark = pytest.mark.needs("job objects")

PYTHON = [sys.executable, "-I", "-S", "-c"]
# Starts a process without the marker, and leaves.
SCRUB = """
import os, subprocess, sys
env = {name: value for name, value in os.environ.items() if not name.startswith("PROCTREE_")}
subprocess.Popen(sys.argv[1:], env=env)
"""
OWNER = """
import sys
from proctree_kill import TreePopen
process = TreePopen(sys.argv[2:], kill_on_parent_exit=sys.argv[1] == "dies")
process.wait()
"""
MANAGER = """
import sys
from proctree_kill import SessionManager
session = SessionManager(sys.argv[1]).spawn_agent("a", sys.argv[2:])
session.process.wait()
"""
TOUCH = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the kernel take no process into a job."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "a job that allows no nested job")

    monkeypatch.setattr(TreeJob, "adopt", refuse)


def scrubbed(command: list[str], **options: Any) -> TreePopen[bytes]:
    """Start a command by way of two processes that take the marker away and leave."""
    return TreePopen([*PYTHON, SCRUB, *PYTHON, SCRUB, *command], **options)


def test_a_tree_is_in_a_job_of_its_own(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root", "child", "below"), start=TreePopen)
    assert isinstance(root, TreePopen)
    assert root.containment.kernel
    assert root.containment.job
    assert root.containment.notes == ()
    assert all(Evidence.JOB in member.evidence for member in root.snapshot().members)
    result = root.stop(grace=0)
    assert planter.all_dead()
    assert Evidence.JOB in result.verified
    assert [outcome.exit_code for outcome in result.outcomes] == [1, 1, 1]


def test_a_process_that_only_the_cgroup_proves_is_ended(planter: SocketPlanter) -> None:
    root = planter.plant(chain("orphan", "below"), start=scrubbed)
    assert isinstance(root, TreePopen)
    root.wait(BOUND)
    members = {member.identity.pid: member for member in root.snapshot().members}
    assert members.keys() == set(planter.pids.values())
    assert members[planter.pids["orphan"]].evidence == (Evidence.JOB,)
    assert root.stop(grace=0).ok
    assert planter.all_dead()


def test_a_tree_inside_a_tree_is_in_both_jobs(planter: SocketPlanter) -> None:
    def nested(command: list[str], **options: Any) -> TreePopen[bytes]:
        return TreePopen([sys.executable, "-c", OWNER, "dies", *command], **options)

    outer = planter.plant(chain("root", "child"), start=nested)
    assert isinstance(outer, TreePopen)
    assert len(outer.snapshot().members) == 3
    assert outer.stop(grace=0).ok
    assert planter.all_dead()


def test_no_more_than_a_marker_is_no_job() -> None:
    with TreePopen([*PYTHON, ""], containment="session") as process:
        assert process.containment.job is None
        assert not process.containment.kernel


@pytest.mark.usefixtures("closed")
def test_a_command_that_cannot_enter_runs_all_the_same(tmp_path: Path) -> None:
    with TreePopen([*PYTHON, TOUCH, str(tmp_path / "ran")]) as process:
        assert not process.containment.kernel
        assert "allows no nested job" in process.containment.notes[0]
    assert (tmp_path / "ran").exists()


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize(
    "wish", [{"containment": "kernel"}, {"kill_on_parent_exit": True}], ids=["kernel", "exit"]
)
def test_where_a_job_is_insisted_on_nothing_runs_outside(
    wish: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(errors.ContainmentError, match="allows no nested job"):
        TreePopen([*PYTHON, TOUCH, str(tmp_path / "ran")], **wish)
    assert not (tmp_path / "ran").exists()


def test_a_tree_dies_with_its_owner(planter: SocketPlanter) -> None:
    def owned(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", OWNER, "dies", *command], **options)

    owner = planter.plant(chain("root", "child"), start=owned)
    owner.kill()
    assert planter.all_dead()
    owner.wait(BOUND)


def test_a_tree_outlives_its_owner_unless_its_death_was_requested(planter: SocketPlanter) -> None:
    def owned(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", OWNER, "lives", *command], **options)

    owner = planter.plant(chain("root", "child"), start=owned)
    owner.kill()
    owner.wait(BOUND)
    assert len(planter.living()) == 2


def test_what_would_need_a_job_is_refused_where_none_is_wanted() -> None:
    with pytest.raises(errors.ContainmentError, match="containment='session' forgoes"):
        Containment.prepare("session", kill_on_parent_exit=True)


def test_sessions_die_with_their_manager_and_their_records_say_so(
    planter: SocketPlanter, tmp_path: Path
) -> None:
    def managed(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", MANAGER, str(tmp_path), *command], **options)

    owner = planter.plant(chain("root", "child"), start=managed)
    owner.kill()
    assert planter.all_dead()
    owner.wait(BOUND)
    assert [outcome.session_id for outcome in recover(tmp_path).gone] == ["a"]


def test_a_manager_asks_for_that(tmp_path: Path) -> None:
    with SessionManager(tmp_path) as manager:
        session = manager.spawn_agent("a", [*PYTHON, "import time; time.sleep(1000)"])
        assert session.process.containment.parent_exit


@pytest.mark.parametrize("dies", [False, True])
def test_to_forget_a_tree_ends_nothing(planter: SocketPlanter, dies: bool) -> None:  # noqa: FBT001
    def forgotten(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        process = TreePopen(command, kill_on_parent_exit=dies, **options)
        pids.append(process.pid)
        with pytest.warns(ResourceWarning, match="still running"):
            del process
        gc.collect()
        return subprocess.Popen([*PYTHON, ""])

    pids: list[int] = []
    planter.plant(chain("root", "child"), start=forgotten).wait(BOUND)
    assert len(planter.living()) == 2
    assert kill_tree(pids[0], grace=0).ok
    assert planter.all_dead()


@pytest.mark.skipif(has("limits of a job"), reason="the jobs of this machine have limits")
class TestWithoutLimits:
    """A system whose jobs keep no limits, as Wine."""

    @pytest.mark.parametrize(
        "limits", [Limits(memory="1G"), Limits(processes=9), Limits(cpu=0.5)], ids=str
    )
    @pytest.mark.parametrize("dies", [False, True])
    def test_nothing_runs(self, tmp_path: Path, limits: Limits, dies: bool) -> None:  # noqa: FBT001 - a case
        (name,) = limits.given
        with pytest.raises(errors.ContainmentError, match=f"'limits': {name} cannot be limited"):
            run([*PYTHON, TOUCH, str(tmp_path / "ran")], limits=limits, kill_on_parent_exit=dies)
        assert not (tmp_path / "ran").exists()

    def test_as_many_cores_as_there_are_need_no_limit(self) -> None:
        assert run([*PYTHON, ""], limits=Limits(cpu=100_000)).returncode == 0

    def test_a_tree_that_runs_keeps_what_it_has(self) -> None:
        with TreePopen([*PYTHON, "input()"], stdin=subprocess.PIPE) as process:
            with pytest.raises(errors.ContainmentError, match="memory and processes cannot be"):
                process.limit(memory="1G", processes=9)
            process.limit(cpu=100_000)
            assert process.containment.limits == Limits(cpu=100_000)
            process.stop(grace=0)


@pytest.mark.needs("limits of a job")
class TestLimits:
    """A system whose jobs keep limits."""

    def test_memory_over_the_limit_is_refused(self) -> None:
        code = "try: bytearray(1 << 30)\nexcept MemoryError: print('refused')"
        done = run([*PYTHON, code], limits=Limits(memory="256M"), capture_output=True)
        assert done.stdout.strip() == b"refused"

    def test_a_tree_that_computes_is_not_idle(self) -> None:
        compute = [*PYTHON, "import time\nwhile time.process_time() < 2: pass"]
        assert run(compute, idle_timeout=1, timeout=BOUND).returncode == 0

    def test_a_tree_that_does_nothing_is_idle(self) -> None:
        with pytest.raises(subprocess.TimeoutExpired, match="was idle for 1 second"):
            run([*PYTHON, "import time; time.sleep(1000)"], idle_timeout=1, timeout=BOUND)

    def test_a_limit_is_lifted_while_the_tree_runs(self) -> None:
        code = "input()\nbytearray(1 << 29)"
        limits = Limits(memory="256M")
        with TreePopen([*PYTHON, code], stdin=subprocess.PIPE, limits=limits) as process:
            process.limit(memory=None, cpu=0.5)
            process.communicate(b"\n")
            assert process.returncode == 0
            assert process.containment.limits == Limits(cpu=0.5)


class TestByHand:
    """A process that another library spawns."""

    def test_a_running_process_enters(self, planter: SocketPlanter) -> None:
        contained = Containment.prepare()
        root = planter.plant(chain("root", "child"), **contained.popen_kwargs())
        contained.attach(root)
        assert "was moved there after its start" in contained.notes[0]
        assert kill_tree(contained, grace=0).ok
        assert planter.all_dead()

    def test_a_suspended_process_is_in_it_from_the_beginning(self, planter: SocketPlanter) -> None:
        contained = Containment.prepare("kernel")

        def spawn(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
            with contained.spawning():
                process = subprocess.Popen(command, **options, **contained.popen_kwargs())
                contained.attach(process)
            return process

        planter.plant(chain("root", "child"), start=spawn)
        assert contained.notes == ()
        assert kill_tree(contained, grace=0).ok
        assert planter.all_dead()
