"""Real: the same small trees ended over each system that this machine can run."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from proctree_kill import Evidence, Fate, KillResult, identify, kill_tree
from proctree_kill._engine import kill, killing, process
from proctree_kill._systems.contract import System
from proctree_kill._systems.posix import system as posix_system
from proctree_kill._systems.posix.system import PosixSystem
from proctree_kill._systems.psutil_system import PsutilSystem
from support import kqueue
from support.capabilities import has
from support.nodes import Node, chain
from support.planter import Planter
from support.times import PATIENCE
from support.trees import Tree

pytestmark = pytest.mark.needs("fork")

HASTE = 0.3
"""A grace in seconds that passes in full."""

ByName = dict[str, Fate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A tree, and what becomes of it.

    Args:
        name: how it appears in the names of tests.
        node: the tree.
        grace: seconds until the force.
        fates: what becomes of those whose end is determined.
        by_session: whether only the session leads to all members.
    """

    name: str
    node: Node
    fates: ByName = field(default_factory=dict)
    grace: float = PATIENCE
    by_session: bool = False


LEFT, KILLED = Fate.TERMINATED, Fate.KILLED
CASES = [
    Case(
        name="three levels",
        node=Node(name="root", children=(chain("a", "b"), chain("c"))),
        fates={"root": LEFT, "a": LEFT, "b": LEFT, "c": LEFT},
    ),
    Case(
        name="one ignores SIGTERM",
        node=Node(name="root", children=(Node(name="deaf", on_term="ignore"), chain("a"))),
        fates={"deaf": KILLED},
        grace=HASTE,
    ),
    Case(
        name="one is stopped",
        node=Node(name="root", children=(Node(name="stopped", stopped=True, on_term="exit"),)),
        fates={"root": LEFT, "stopped": LEFT},
    ),
    Case(
        name="a middle ignores SIGTERM and restarts its worker",
        node=Node(
            name="root",
            children=(
                Node(name="middle", on_term="ignore", restarts=True, children=(chain("worker"),)),
            ),
        ),
        fates={"middle": KILLED},
        grace=HASTE,
    ),
    Case(
        name="one forks every 4 ms",
        node=Node(
            name="root",
            children=(Node(name="forker", on_term="ignore", forks_every=0.004, at_most=40),),
        ),
        fates={"forker": KILLED},
        grace=HASTE,
    ),
    Case(
        name="a middle never reaps",
        node=Node(
            name="root", children=(Node(name="middle", reaps=False, children=(chain("a"),)),)
        ),
        fates={"root": LEFT, "middle": LEFT, "a": LEFT},
    ),
    Case(
        name="a child leads a session of its own",
        node=Node(
            name="root", children=(Node(name="leader", session=True, children=(chain("x"),)),)
        ),
        fates={"root": LEFT, "leader": LEFT, "x": LEFT},
    ),
    Case(
        name="an orphan whose parent died",
        node=Node(
            name="root",
            children=(Node(name="middle", dies=True, children=(chain("orphan", "x"),)),),
        ),
        fates={"root": LEFT, "orphan": LEFT, "x": LEFT},
        by_session=True,
    ),
    Case(
        name="one forks a child in its SIGTERM handler and exits",
        node=Node(name="root", children=(Node(name="forker", on_term="fork"),)),
        fates={"forker": LEFT},
        grace=HASTE,
        by_session=True,
    ),
    Case(
        name="the root is dead",
        node=Node(name="root", dies=True, children=(chain("child", "x"),)),
        fates={"child": LEFT, "x": LEFT},
        by_session=True,
    ),
]


def named(case: Case) -> str:
    return case.name


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


def fates(tree: Tree, result: KillResult) -> ByName:
    """Return the fate of each process by name."""
    names = {pid: name for name, pid in tree.pids.items()}
    return {names.get(outcome.identity.pid, "?"): outcome.fate for outcome in result.outcomes}


@pytest.mark.parametrize("case", CASES, ids=named)
def test_no_process_survives(plant: Planter, over: str, case: Case) -> None:
    if case.by_session and over == "psutil":
        pytest.skip("psutil knows no sessions")
    tree = plant(case.node)
    if case.node.dies:
        tree.root.wait()
    result = kill_tree(tree.root.pid, grace=case.grace)
    assert result.ok, result.summary()
    assert tree.all_dead()
    found = fates(tree, result)
    assert {name: found[name] for name in case.fates} == case.fates


@pytest.mark.needs("procfs")
@pytest.mark.usefixtures("over")
def test_a_leader_whose_main_thread_ended_is_ended(plant: Planter) -> None:
    tree = plant(Node(name="root", children=(Node(name="threads", main_thread_ends=True),)))
    result = kill_tree(tree.root.pid, grace=PATIENCE)
    assert tree.all_dead()
    assert fates(tree, result) == {"root": LEFT, "threads": LEFT}


@pytest.mark.usefixtures("over")
def test_a_daemon_is_found_by_its_marker(plant: Planter) -> None:
    marker = f"PLANTED_{uuid.uuid4().hex}=1"
    first = Node(name="first", session=True, dies=True, children=(chain("daemon"),))
    tree = plant(Node(name="root", children=(first, chain("child"))), marker=marker)
    result = kill_tree(tree.root.pid, grace=PATIENCE, marker=marker)
    assert tree.all_dead()
    assert fates(tree, result) == {"root": LEFT, "child": LEFT, "daemon": LEFT}
    assert Evidence.MARKER in result.verified


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
    assert fates(tree, result) == {"root": LEFT, "child": LEFT}
    assert result.seconds < PATIENCE
    assert tree.root.wait() == -signal.SIGTERM


@pytest.mark.usefixtures("over")
def test_a_spared_process_is_not_stopped_and_not_signalled(plant: Planter) -> None:
    tree = plant(Node(name="root", on_term="ignore", children=(chain("spared", "x"), chain("a"))))
    result = kill_tree(tree.root.pid, grace=HASTE, spare=[tree.pids["spared"]])
    assert fates(tree, result) == {
        "root": KILLED,
        "a": LEFT,
        "spared": Fate.SPARED,
        "x": Fate.SPARED,
    }
    assert tree.state("spared") == tree.state("x") == "sleeping"


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
