"""Real: the trees that the usual tools end in part only, started by TreePopen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from proctree_kill import Evidence, KillResult, TreePopen
from support.callers import Caller, apart, unprivileged
from support.capabilities import has
from support.forcing import forced_after
from support.nodes import Node, chain
from support.outcomes import by_name
from support.planter import Planter
from support.scenarios import KILLED, LEFT, SCENARIO_PARAMS, Scenario
from support.times import PATIENCE
from support.trees import Tree

T = TypeVar("T")

pytestmark = pytest.mark.needs("fork")

CALLERS = [
    pytest.param(Caller(name="root"), marks=pytest.mark.needs("root")),
    pytest.param(
        Caller(name="ordinary user", ordinary=True), marks=pytest.mark.needs("ordinary user")
    ),
    pytest.param(Caller(name="no pidfd", pidfd=False), marks=pytest.mark.needs("pidfd")),
    pytest.param(Caller(name="no cgroup", cgroup=False), marks=pytest.mark.needs("cgroup")),
]
Ended = tuple[TreePopen[bytes], Tree]


def stop(ended: Ended, scenario: Scenario) -> KillResult:
    process, tree = ended
    with scenario.forcing(tree.pids):
        return process.stop(grace=scenario.grace)


WAYS: dict[str, Callable[[Ended, Scenario], KillResult]] = {
    "stopped": stop,
    "forced": lambda ended, _: ended[0].stop(grace=0),
}
STUBBORN = Node(name="stubborn", on_term="ignore")
# A root that is dead, two daemons with sessions of their own, and one more orphan.
DAEMONS = Node(
    name="root",
    dies=True,
    children=(
        Node(name="first", session=True, dies=True, children=(Node(name="daemon"),)),
        Node(name="second", session=True, dies=True, children=(STUBBORN,)),
        chain("child", "x"),
    ),
)


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: str(caller.name))
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scenario", SCENARIO_PARAMS)
def test_no_process_survives(plant: Planter, scenario: Scenario, way: str, caller: Caller) -> None:
    tree, result = contained(
        plant, scenario.node, caller, lambda *ended: WAYS[way](ended, scenario)
    )
    assert result.ok, result.summary()
    assert tree.all_dead()
    if way == "stopped":
        found = by_name(tree.pids, result)
        fates = {name: outcome.fate for name, outcome in found.items() if name in scenario.fates}
        assert fates == {name: scenario.fates[name] for name in fates}
        assert fates


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: str(caller.name))
def test_daemons_of_a_root_that_was_reaped_long_ago_are_found(
    plant: Planter, caller: Caller
) -> None:
    def stop_daemons(process: TreePopen[bytes], tree: Tree) -> KillResult:
        with forced_after(tree.pids[name] for name in ("daemon", "child", "x")):
            return process.stop(grace=PATIENCE)

    tree, result = contained(plant, DAEMONS, caller, stop_daemons)
    assert tree.all_dead()
    fates = {
        name: outcome.fate for name, outcome in by_name(tree.pids, result).items() if name != "root"
    }
    assert fates == {"daemon": LEFT, "stubborn": KILLED, "child": LEFT, "x": LEFT}
    evidence = {Evidence.DESCENDANT, Evidence.MARKER, Evidence.SESSION}
    kept = has("cgroup") and caller.cgroup and not caller.ordinary
    assert set(result.verified) == evidence | ({Evidence.CGROUP} if kept else set())


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: str(caller.name))
def test_the_end_of_the_block_ends_them(plant: Planter, caller: Caller) -> None:
    def leave_the_block(process: TreePopen[bytes], _: Tree) -> None:
        with process:
            pass

    tree, _ = contained(plant, DAEMONS, caller, leave_the_block)
    assert tree.all_dead()


def contained(
    plant: Planter, node: Node, caller: Caller, end: Callable[[TreePopen[bytes], Tree], T]
) -> tuple[Tree, T]:
    """Let a caller start a tree by TreePopen, and end it when all of it has started."""
    with plant.prepare(node, caller.account) as prepared:
        tree, source = prepared.tree, prepared.options["stdin"]

        def call() -> tuple[dict[str, int], T]:
            with caller.means(), unprivileged(caller.account):
                process = TreePopen(prepared.argv, **prepared.options)
                tree.await_started()
                if node.dies:
                    assert process.wait() == 0
                return tree.pids, end(process, tree)

        pids, ended = apart(call, keep=(*prepared.fds, source.fileno(), tree.reader))
        tree.pids.update(pids)
    return tree, ended
