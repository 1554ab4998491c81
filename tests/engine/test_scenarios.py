"""Real: the trees that the usual tools end in part only, ended by each kind of caller."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from proctree_kill import Evidence, Fate
from support.callers import Caller
from support.nodes import Node, chain
from support.outcomes import by_name
from support.planter import Planter
from support.scenarios import KILLED, LEFT, SCENARIO_PARAMS, Scenario
from support.times import BOUND, LONG, PATIENCE

pytestmark = pytest.mark.needs("fork")

CALLERS = [
    pytest.param(Caller(name="root"), marks=pytest.mark.needs("root")),
    pytest.param(
        Caller(name="ordinary user", ordinary=True), marks=pytest.mark.needs("ordinary user")
    ),
    pytest.param(Caller(name="no pidfd", pidfd=False), marks=pytest.mark.needs("pidfd")),
    pytest.param(
        Caller(name="no children file", children_file=False),
        marks=pytest.mark.needs("children file"),
    ),
    Caller(name="64 descriptors", descriptors=64),
]


def named(value: Any) -> str:  # noqa: ANN401 - pytest asks about every parameter
    return str(value.name)


@pytest.mark.parametrize("caller", CALLERS, ids=named)
@pytest.mark.parametrize("scenario", SCENARIO_PARAMS)
def test_no_process_survives(plant: Planter, scenario: Scenario, caller: Caller) -> None:
    marker = f"PLANTED_{uuid.uuid4().hex}=1" if scenario.marker else None
    tree = plant(scenario.node, account=caller.account, marker=marker)
    if scenario.node.dies:
        tree.root.wait()
    with scenario.forcing(tree.pids):
        result = caller.kill(tree.root.pid, grace=scenario.grace, marker=marker)
    assert result.ok, result.summary()
    assert tree.all_dead()
    found = by_name(tree.pids, result)
    assert {name: found[name].fate for name in scenario.fates} == scenario.fates
    codes = {name: found[name].exit_code for name in scenario.codes}
    assert all(codes[name] in (None, code) for name, code in scenario.codes.items()), codes


@pytest.mark.needs("fork", "procfs")
@pytest.mark.parametrize("caller", CALLERS, ids=named)
def test_five_hundred_processes_fit_under_sixty_four_descriptors(
    plant: Planter, caller: Caller
) -> None:
    names = [f"child {number}" for number in range(499)]
    tree = plant(
        Node(name="root", children=tuple(chain(name) for name in names)), account=caller.account
    )
    few = replace(caller, descriptors=64)
    result = few.kill(tree.root.pid, within=2 * BOUND, grace=BOUND)
    assert result.ok, result.summary()
    assert tree.all_dead()
    assert {outcome.identity.pid for outcome in result.outcomes} == set(tree.pids.values())
    assert {outcome.fate for outcome in result.outcomes} == {LEFT}
    assert result.seconds < BOUND


def test_a_root_that_is_never_reaped_is_dead_at_once(plant: Planter) -> None:
    tree = plant(chain("root", "child"))
    result = Caller(name="plain").kill(tree.root.pid, grace=PATIENCE)
    assert [outcome.fate for outcome in result.outcomes] == [LEFT, LEFT]
    assert result.seconds < PATIENCE
    assert tree.state("root") == psutil.STATUS_ZOMBIE
    assert tree.all_dead()


@pytest.mark.needs("waitid")
def test_the_session_of_a_root_that_is_dead_and_not_reaped_is_its_tree(plant: Planter) -> None:
    tree = plant(Node(name="root", dies=True, children=(chain("child"),)))
    os.waitid(os.P_PID, tree.root.pid, os.WEXITED | os.WNOWAIT)
    result = Caller(name="plain").kill(tree.root.pid, grace=PATIENCE)
    found = by_name(tree.pids, result)
    assert found["child"].fate is LEFT
    assert Evidence.SESSION in found["child"].evidence
    assert tree.all_dead()


def test_a_daemon_without_a_marker_is_out_of_reach_and_not_verified(
    plant: Planter,
) -> None:
    node = Node(
        name="root",
        children=(Node(name="first", session=True, dies=True, children=(chain("daemon"),)),),
    )
    tree = plant(node)
    result = Caller(name="plain").kill(tree.root.pid, grace=PATIENCE)
    assert result.ok
    assert set(result.verified) == {Evidence.DESCENDANT, Evidence.SESSION}
    assert psutil.pid_exists(tree.pids["daemon"])
    assert not tree.all_dead()


def test_a_stopped_tree_acts_on_sigterm(plant: Planter) -> None:
    tree = plant(Node(name="root", children=(Node(name="child", stopped=True),)))
    os.kill(tree.root.pid, signal.SIGSTOP)
    os.waitpid(tree.root.pid, os.WUNTRACED)
    result = Caller(name="plain").kill(tree.root.pid, grace=PATIENCE)
    assert [outcome.fate for outcome in result.outcomes] == [LEFT, LEFT]
    assert all(outcome.signals == ("SIGTERM", "SIGCONT") for outcome in result.outcomes)


@pytest.mark.needs("root", "ordinary user", "setpriv")
@pytest.mark.parametrize("grace", [0.0, LONG], ids=["no grace", "a grace that ends early"])
def test_a_child_that_became_root_is_denied_and_the_rest_is_gone(
    plant: Planter, setuid_setpriv: Path, grace: float
) -> None:
    caller = Caller(name="ordinary user", ordinary=True)
    script = f"sleep 1000 & {setuid_setpriv} --reuid=0 cat; true"
    tree = plant.program(
        ["sh", "-c", script],
        account=caller.account,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    assert tree.root.stdin
    assert tree.root.stdout
    tree.root.stdin.write(b"the child is root\n")
    assert tree.root.stdout.readline() == b"the child is root\n"
    result = caller.kill(tree.root.pid, grace=grace, settle=BOUND)
    fates = {outcome.name: outcome.fate for outcome in result.outcomes}
    assert fates.pop("cat") is Fate.DENIED
    assert len(result.outcomes) == len(["sh", "sleep", "cat"])
    assert set(fates) <= {"sh", "sleep"}  # a shell that has not become sleep yet
    assert set(fates.values()) <= {LEFT, KILLED}
    assert not result.ok
    assert [outcome.name for outcome in result.survivors] == ["cat"]


@pytest.mark.parametrize("attempt", range(3))
@pytest.mark.parametrize(
    "wrapper",
    [
        pytest.param(["su", "-c"], id="su", marks=pytest.mark.needs("su", "root")),
        pytest.param(
            ["script", "-q", "/dev/null", "-c"], id="script", marks=pytest.mark.needs("script")
        ),
    ],
)
def test_a_parent_that_stops_with_its_child_is_not_left_stopped(
    plant: Planter, wrapper: list[str], attempt: int
) -> None:
    del attempt
    tree = plant.program(
        [*wrapper, "echo $$; exec sleep 1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert tree.root.stdout
    child = int(tree.root.stdout.readline())
    result = Caller(name="plain").kill(child, grace=0)
    assert [outcome.fate for outcome in result.outcomes] == [KILLED]
    assert tree.all_dead(within=BOUND), f"{wrapper[0]} is {psutil.Process(tree.root.pid).status()}"


@pytest.fixture(scope="module")
def setuid_setpriv(open_folder: Path) -> Path:
    """Copy a program that becomes root, whichever user starts it."""
    found = shutil.which("setpriv")
    assert found
    program = Path(shutil.copy(found, open_folder))
    program.chmod(0o755 | stat.S_ISUID)
    if os.statvfs(open_folder).f_flag & os.ST_NOSUID:
        pytest.skip("this file system knows no setuid programs")
    return program
