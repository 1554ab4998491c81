"""Real: the planter ends what it plants, with a cgroup and without, whatever they do."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from support.cgroups import ScratchCgroup
from support.nodes import Node, chain
from support.planter import Planter
from support.storms import Kind, plant_storm
from support.trees import Tree
from support.users import ordinary_user

pytestmark = pytest.mark.needs("fork", "procfs")

WILD = Node(
    name="root",
    children=(
        chain("a", "b", "c"),
        Node(name="stubborn", on_term="ignore"),
        Node(name="stopped", stopped=True),
        Node(name="middle", dies=True, children=(Node(name="orphan"),)),
        Node(name="own session", session=True),
        Node(name="first", session=True, dies=True, children=(Node(name="daemon"),)),
        Node(name="forker", forks_every=0.004, at_most=40, on_term="ignore"),
        Node(name="threads only", main_thread_ends=True),
    ),
)


@pytest.fixture(params=["in a cgroup", "without a cgroup"])
def planter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Planter:
    if request.param == "without a cgroup":
        monkeypatch.setattr(ScratchCgroup, "make", lambda: None)
    return Planter()


def test_every_node_starts_as_described_and_ends_with_the_planter(planter: Planter) -> None:
    with planter:
        tree = planter(WILD)
        assert tree.pids.keys() == set(WILD.names())
        assert tree.state("stopped") == "stopped"
        assert tree.state("threads only") == "zombie"
        assert os.getsid(tree.pids["orphan"]) == os.getsid(tree.pids["c"]) == tree.root.pid
        assert os.getsid(tree.pids["daemon"]) == tree.pids["first"]
        assert not tree.all_dead()
    assert tree.root.returncode == -signal.SIGKILL


@pytest.mark.needs("ordinary user")
def test_an_ordinary_user_plants_the_same(planter: Planter) -> None:
    account = ordinary_user()
    assert account
    with planter:
        tree = planter(WILD, account=account)
        assert psutil.Process(tree.pids["daemon"]).uids().real == account.uid


def test_the_end_of_the_last_process_is_seen(planter: Planter) -> None:
    with planter:
        tree = planter(chain("root", "child"))
        end(tree, "root")
        assert tree.root.wait() == -signal.SIGTERM
        assert not tree.all_dead()
        end(tree, "child")
        assert tree.all_dead(within=10)


def test_a_program_ends_with_the_planter(planter: Planter) -> None:
    with planter:
        tree = planter.program(["sh", "-c", "sleep 1000 & sleep 1000"])
        assert not tree.all_dead()


@pytest.mark.needs("cc")
@pytest.mark.parametrize("kind", ["growing", "workers", "sessions", "successors", "fugitives"])
def test_a_storm_ends_with_the_planter(planter: Planter, storm: Path, kind: Kind) -> None:
    with planter:
        tree = plant_storm(planter, storm, kind, forks=200)
        assert not tree.all_dead()


@pytest.mark.parametrize(
    ("on_term", "code"), [("die", -signal.SIGTERM), ("exit", 7)], ids=["default", "handler"]
)
def test_a_node_leaves_as_described(plant: Planter, on_term: str, code: int) -> None:
    tree = plant(Node(name="root", on_term=on_term, exit_code=7))  # type: ignore[arg-type] # a parameter
    end(tree, "root")
    assert tree.root.wait() == code


def end(tree: Tree, name: str) -> None:
    os.kill(tree.pids[name], signal.SIGTERM)
