"""Real: the same small trees ended over each system that this machine can run."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Callable

import psutil
import pytest

from proctree_kill import Evidence, Fate, identify, kill_tree
from proctree_kill._engine import kill, killing, process
from proctree_kill._systems.contract import System
from proctree_kill._systems.posix import system as posix_system
from proctree_kill._systems.posix.system import PosixSystem
from proctree_kill._systems.psutil_system import PsutilSystem
from support import kqueue
from support.capabilities import has
from support.forcing import forced_after
from support.nodes import Node, chain
from support.outcomes import fates
from support.planter import Planter
from support.scenarios import KILLED, LEFT, SCENARIO_PARAMS, Scenario
from support.times import LONG, PATIENCE

pytestmark = pytest.mark.needs("fork")


@pytest.fixture(params=["psutil", "posix", "posix with kqueue"])
def over(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the engine see this machine through another system."""
    if request.param == "posix with kqueue":
        if not has("pidfd"):
            pytest.skip("this machine has no pidfd to make a kqueue of")
        monkeypatch.setattr(posix_system, "_select", kqueue)
    monkeypatch.setattr(posix_system, "KQUEUE", request.param == "posix with kqueue")
    chosen: Callable[[], System] = PsutilSystem if request.param == "psutil" else PosixSystem
    for module in (kill, killing, process):
        monkeypatch.setattr(module, "current", lambda *_: chosen())
    return str(request.param)


@pytest.mark.parametrize("scenario", SCENARIO_PARAMS)
def test_no_process_survives(plant: Planter, over: str, scenario: Scenario) -> None:
    if scenario.by_session and over == "psutil":
        pytest.skip("psutil knows no sessions")
    marker = f"PLANTED_{uuid.uuid4().hex}=1" if scenario.marker else None
    tree = plant(scenario.node, marker=marker)
    if scenario.node.dies:
        tree.root.wait()
    with scenario.forcing(tree.pids):
        result = kill_tree(tree.root.pid, grace=scenario.grace, marker=marker)
    assert result.ok, result.summary()
    assert tree.all_dead()
    found = fates(tree.pids, result)
    assert {name: found[name] for name in scenario.fates} == scenario.fates
    assert (Evidence.MARKER in result.verified) is scenario.marker


@pytest.mark.usefixtures("over")
def test_what_was_sent_is_recorded_and_the_exit_code_is_the_owners(plant: Planter) -> None:
    tree = plant(Node(name="root", on_term="exit", exit_code=7, children=(chain("child"),)))
    result = kill_tree(tree.root, grace=PATIENCE)
    assert result.root
    assert result.root.signals[0] == "SIGTERM"
    assert result.root.exit_code == tree.root.returncode == 7


@pytest.mark.usefixtures("over")
def test_a_root_that_is_never_reaped_is_dead_at_once(plant: Planter) -> None:
    tree = plant(chain("root", "child"))
    result = kill_tree(tree.root.pid, grace=PATIENCE)
    assert fates(tree.pids, result) == {"root": LEFT, "child": LEFT}
    assert result.seconds < PATIENCE
    assert tree.root.wait() == -signal.SIGTERM


@pytest.mark.usefixtures("over")
def test_the_end_of_a_hook_ends_the_wait_for_it() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as filtering:
        result = kill_tree(filtering, shutdown=lambda: None, grace=LONG)
    assert result.root
    assert (result.root.signals, result.root.exit_code) == ((), 0)


@pytest.mark.usefixtures("over")
def test_a_spared_process_is_not_stopped_and_not_signalled(plant: Planter) -> None:
    tree = plant(Node(name="root", on_term="ignore", children=(chain("spared", "x"), chain("a"))))
    with forced_after([tree.pids["a"]]):
        result = kill_tree(tree.root.pid, grace=PATIENCE, spare=[tree.pids["spared"]])
    assert fates(tree.pids, result) == {
        "root": KILLED,
        "a": LEFT,
        "spared": Fate.SPARED,
        "x": Fate.SPARED,
    }
    dead_or_stopped = {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD, psutil.STATUS_STOPPED}
    assert not {tree.state("spared"), tree.state("x")} & dead_or_stopped


@pytest.mark.usefixtures("over")
def test_a_weak_identity_finds_its_process_and_no_later_one(plant: Planter) -> None:
    tree = plant(chain("root"))
    identity = identify(tree.root.pid)
    assert identity.weak
    assert identity.create_time
    earlier = identity.model_copy(update={"create_time": identity.create_time - 60})
    missed = kill_tree(earlier, grace=0)
    assert [outcome.fate for outcome in missed.outcomes] == [Fate.ALREADY_GONE]
    assert tree.root.poll() is None
    assert kill_tree(identity, grace=0).ok
    assert tree.all_dead()


@pytest.mark.usefixtures("over")
def test_the_callers_own_tree_is_refused(plant: Planter) -> None:
    tree = plant(chain("root"))
    for pid in (1, os.getpid(), os.getppid()):
        with pytest.raises(ValueError, match="refused"):
            kill_tree(pid)
    assert tree.root.poll() is None
