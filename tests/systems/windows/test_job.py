"""Real, where Windows has them: job objects."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from proctree_kill._systems.windows.handles import FORCE_CODE
from proctree_kill._systems.windows.job import TreeJob
from support.nodes import Node, chain
from support.socket_planter import SocketPlanter, Start

pytestmark = pytest.mark.needs("job objects")

INNER = """
import subprocess, sys
from proctree_kill._systems.windows.job import TreeJob
job = TreeJob.make(dies_with_owner=False)
child = subprocess.Popen(sys.argv[1:], creationflags=job.creation_flags)
job.adopt(child.pid)
job.start(child.pid)
child.wait()
"""
LAUNCHER = "import subprocess, sys; raise SystemExit(subprocess.call(sys.argv[1:]))"
BREAKAWAY = 0x01000000  # CREATE_BREAKAWAY_FROM_JOB


@pytest.fixture
def job() -> Iterator[TreeJob]:
    job = TreeJob.make(dies_with_owner=False)
    yield job
    job.abandon()


def within(job: TreeJob, *before: str) -> Start:
    """Return what starts a command in a job, perhaps by way of a Python program."""

    def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        via = [sys.executable, "-c", *before] if before else []
        root = subprocess.Popen([*via, *command], creationflags=job.creation_flags, **options)
        assert job.pids() == []
        job.adopt(root.pid)
        job.start(root.pid)
        return root

    return start


def test_a_tree_is_in_the_job_that_adopted_its_root(planter: SocketPlanter, job: TreeJob) -> None:
    planter.plant(chain("root", "child", "grandchild"), start=within(job))
    assert sorted(job.pids()) == sorted(planter.pids.values())
    assert os.getpid() not in job.pids()


def test_an_orphan_stays_in_the_job(planter: SocketPlanter, job: TreeJob) -> None:
    middle = Node(name="middle", dies=True, children=(chain("orphan"),))
    planter.plant(Node(name="root", children=(middle,)), start=within(job))
    assert planter.pids["orphan"] in job.pids()
    assert job.kill()
    assert planter.all_dead()


def test_all_are_ended_at_once_with_the_code(planter: SocketPlanter, job: TreeJob) -> None:
    root = planter.plant(chain("root", "child"), start=within(job))
    assert job.kill()
    assert planter.all_dead()
    assert root.wait() == FORCE_CODE
    assert job.pids() == []


def test_more_than_a_first_guess_are_listed(
    planter: SocketPlanter, job: TreeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proctree_kill._systems.windows.job.FIRST_ROOM", 1)
    planter.plant(chain("root", "child", "grandchild"), start=within(job))
    assert sorted(job.pids()) == sorted(planter.pids.values())


def test_a_closed_job_leaves_its_processes_alone(planter: SocketPlanter) -> None:
    job = TreeJob.make(dies_with_owner=False)
    root = planter.plant(chain("root"), start=within(job))
    job.abandon()
    job.abandon()
    assert job.kill()
    assert job.pids() == []
    assert root.poll() is None


def test_its_processes_die_with_it_where_that_was_asked_for(planter: SocketPlanter) -> None:
    job = TreeJob.make(dies_with_owner=True)
    planter.plant(chain("root", "child"), start=within(job))
    job._close()
    assert planter.all_dead()


def test_a_job_within_a_job_belongs_to_the_outer_one(planter: SocketPlanter, job: TreeJob) -> None:
    owner = planter.plant(chain("root", "child"), start=within(job, INNER))
    assert sorted(job.pids()) == sorted([owner.pid, *planter.pids.values()])
    assert job.kill()
    assert planter.all_dead()


def test_no_process_breaks_away(planter: SocketPlanter, job: TreeJob) -> None:
    # Windows refuses the flag in a job that does not allow it; Wine ignores it.
    tries = (
        "import subprocess, sys\n"
        "try:\n"
        f"    subprocess.call(sys.argv[1:], creationflags={BREAKAWAY})\n"
        "except PermissionError:\n"
        "    subprocess.call(sys.argv[1:])\n"
    )
    planter.plant(chain("root", "child"), start=within(job, tries))
    assert set(planter.pids.values()) <= set(job.pids())


def test_a_launcher_and_the_interpreter_behind_it_are_both_in_the_job(
    planter: SocketPlanter, job: TreeJob
) -> None:
    # py.exe and the python.exe of a virtual environment start another process and wait for it.
    launcher = planter.plant(chain("python"), start=within(job, LAUNCHER))
    assert sorted(job.pids()) == sorted([launcher.pid, planter.pids["python"]])


def test_a_process_that_is_gone_cannot_be_adopted(job: TreeJob) -> None:
    with pytest.raises(OSError, match=r".*"):
        job.adopt(os.getpid() + 1 << 20)
