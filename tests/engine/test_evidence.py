"""Real: which processes belong to a tree, and why."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid

import psutil
import pytest

from proctree_kill import Evidence, Fate, TreeSnapshot, identify, kill_tree, snapshot_tree
from proctree_kill._systems.linux import system as linux_system
from support.nodes import Node, chain
from support.planter import Planter
from support.times import BOUND
from support.trees import Tree

pytestmark = pytest.mark.needs("procfs", "fork")

D, R, S, M = Evidence.DESCENDANT, Evidence.ROOT, Evidence.SESSION, Evidence.MARKER
# Starts a tree and reaps its root only, like the first process of many a container.
ADOPTS = """
import ctypes, subprocess
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
script = "sleep 1000 & echo $$; wait"
root = subprocess.Popen(["sh", "-c", script], start_new_session=True)
root.wait()
input()
"""
# Adopts with another thread, for its main thread has ended.
ADOPTS_LATE = """
import ctypes, os, subprocess, sys, threading
libc = ctypes.CDLL(None)
libc.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
def live_on():
    while ") Z " not in open("/proc/self/stat").read():
        pass
    script = "(sleep 1000 &); echo $$; exec sleep 1000"
    subprocess.Popen(["sh", "-c", script], start_new_session=True)
    os.read(0, 1)
    os._exit(0)
threading.Thread(target=live_on).start()
libc.pthread_exit(None)
"""
ORPHAN = Node(
    name="root",
    children=(Node(name="middle", dies=True, children=(chain("orphan"),)),),
)


@pytest.fixture(params=[True, False], ids=["children file", "parents of all processes"])
def _walk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux_system, "CHILDREN_FILE", linux_system.CHILDREN_FILE and request.param)


def why(tree: Tree, snapshot: TreeSnapshot) -> dict[str, tuple[Evidence, ...]]:
    """Return the evidence by the names of the nodes."""
    names = {pid: name for name, pid in tree.pids.items()}
    return {names[member.identity.pid]: member.evidence for member in snapshot.members}


@pytest.mark.usefixtures("_walk")
def test_descendants_are_found_with_their_depth_and_parent(plant: Planter) -> None:
    tree = plant(chain("root", "child", "grandchild"))
    snapshot = snapshot_tree(tree.root)
    assert why(tree, snapshot) == {"grandchild": (D, S), "child": (D, S), "root": (R,)}
    assert [member.depth for member in snapshot.members] == [2, 1, 0]
    assert snapshot.members[0].ppid == tree.pids["child"]
    assert snapshot.refusal is None


@pytest.mark.usefixtures("_walk")
def test_an_orphan_is_found_by_the_session_of_the_root(plant: Planter) -> None:
    tree = plant(ORPHAN)
    assert why(tree, snapshot_tree(tree.root))["orphan"] == (S,)


def test_an_orphan_is_found_by_the_session_of_another_member(plant: Planter) -> None:
    inner = Node(
        name="leader",
        session=True,
        children=(Node(name="m", dies=True, children=(chain("orphan"),)),),
    )
    tree = plant(Node(name="root", children=(inner,)))
    snapshot = snapshot_tree(tree.root)
    assert why(tree, snapshot) == {"leader": (D,), "orphan": (S,), "root": (R,)}
    assert {member.depth for member in snapshot.members if S in member.evidence} == {2}


def test_an_orphan_of_no_session_of_ours_is_not_a_member(plant: Planter) -> None:
    node = Node(name="root", children=(Node(name="m", dies=True, children=(chain("o"),)),))
    tree = plant(node, start_new_session=False)
    assert "o" not in why(tree, snapshot_tree(tree.root))


def test_a_daemon_is_found_by_its_marker_with_all_below_it(plant: Planter) -> None:
    marker = f"PLANTED_{uuid.uuid4().hex}=1"
    daemon = Node(name="daemon", session=True, children=(chain("helper"),))
    tree = plant(
        Node(name="root", children=(Node(name="m", dies=True, children=(daemon,)),)), marker=marker
    )
    found = why(tree, snapshot_tree(tree.root, marker=marker))
    assert found["daemon"] == (M,)
    assert D in found["helper"]
    assert "daemon" not in why(tree, snapshot_tree(tree.root))


def test_a_marker_matches_whole_variables_only(plant: Planter) -> None:
    name = f"PLANTED_{uuid.uuid4().hex}"
    daemon = Node(name="daemon", session=True)
    tree = plant(
        Node(name="root", children=(Node(name="m", dies=True, children=(daemon,)),)),
        marker=f"{name}=10",
    )
    assert "daemon" not in why(tree, snapshot_tree(tree.root, marker=f"{name}=1"))
    assert "daemon" not in why(tree, snapshot_tree(tree.root, marker=f"{name[1:]}=10"))


def test_the_children_of_a_thread_are_found() -> None:
    started, stop = threading.Event(), threading.Event()
    children: list[subprocess.Popen[bytes]] = []

    def work() -> None:
        children.append(subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=-1))
        started.set()
        stop.wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert started.wait(10)
        pids = {
            member.identity.pid for member in snapshot_tree(os.getpid(), include_root=False).members
        }
        assert children[0].pid in pids
    finally:
        kill_tree(children[0], grace=0)
        children[0].communicate()
        stop.set()
        thread.join()


def test_the_session_of_a_bare_number_is_its_tree_even_when_it_is_gone(plant: Planter) -> None:
    tree = plant(ORPHAN)
    tree.root.kill()
    tree.root.wait()
    assert why(tree, snapshot_tree(tree.root.pid)) == {"orphan": (S,)}


@pytest.mark.parametrize("grace", [0, BOUND])
def test_unreaped_dead_processes_leave_no_doubt(grace: float) -> None:
    command = [sys.executable, "-I", "-S", "-c", ADOPTS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as adopter:
        assert adopter.stdout
        result = kill_tree(int(adopter.stdout.readline()), grace=grace)
    assert len(result.outcomes) == 2
    assert result.ok
    assert result.verified == (D, S)


def test_an_orphan_is_found_below_an_adopter_whose_main_thread_has_ended() -> None:
    command = [sys.executable, "-I", "-S", "-c", ADOPTS_LATE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as adopter:
        assert adopter.stdout
        root = int(adopter.stdout.readline())
        evidence = {outcome.evidence for outcome in kill_tree(root, grace=0).outcomes}
    assert evidence == {(R,), (S,)}


def test_an_object_is_no_word_for_a_session_that_outlived_its_leader(plant: Planter) -> None:
    tree = plant(ORPHAN)
    identity = identify(tree.root.pid)
    tree.root.kill()
    tree.root.wait()
    assert snapshot_tree(identity).members == ()
    assert snapshot_tree(tree.root).members == ()


def test_a_zombie_root_still_owns_its_session(plant: Planter) -> None:
    tree = plant(ORPHAN)
    tree.root.kill()
    os.waitid(os.P_PID, tree.root.pid, os.WEXITED | os.WNOWAIT)
    assert why(tree, snapshot_tree(tree.root.pid))["orphan"] == (S,)


@pytest.mark.needs("pid namespace", "root")
def test_a_root_in_another_pid_namespace_keeps_its_orphans(plant: Planter) -> None:
    inside = "setsid sh -c '(sleep 1001 &); echo ready; exec sleep 1002'; exit 0"
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", inside]
    tree = plant.program(command, stdout=subprocess.PIPE)
    assert tree.root.stdout is not None
    assert tree.root.stdout.readline() == b"ready\n"
    leader = next(
        child
        for child in psutil.Process(tree.root.pid).children(recursive=True)
        if child.pid == os.getsid(child.pid)
    )
    found = {member.evidence for member in snapshot_tree(leader.pid).members}
    assert found == {(R,), (S,)}


def test_a_spared_process_keeps_its_descendants(plant: Planter) -> None:
    tree = plant(chain("root", "spared", "below"))
    snapshot = snapshot_tree(tree.root, spare=[tree.pids["spared"]])
    assert [member.spared for member in snapshot.members] == [
        f"below {tree.pids['spared']}",
        "by the caller",
        None,
    ]
    result = kill_tree(tree.root, grace=BOUND, spare=[identify(tree.pids["spared"])])
    assert result.ok
    assert [outcome.fate for outcome in result.outcomes] == [
        Fate.SPARED,
        Fate.SPARED,
        Fate.TERMINATED,
    ]
    assert tree.state("below") != psutil.STATUS_ZOMBIE


def test_a_predicate_is_asked_once_for_each_process(plant: Planter) -> None:
    tree = plant(chain("root", "child"))
    asked: list[int] = []
    kill_tree(tree.root, spare=lambda member: asked.append(member.identity.pid))
    assert sorted(asked) == sorted(tree.pids.values())


def test_a_predicate_that_raises_leaves_every_process_alone(plant: Planter) -> None:
    tree = plant(chain("root", "child"))
    with pytest.raises(ZeroDivisionError):
        kill_tree(tree.root, spare=lambda _: 1 // 0)
    assert tree.root.poll() is None
    assert tree.state("child") != psutil.STATUS_ZOMBIE


def test_without_the_root_only_the_descendants_die(plant: Planter) -> None:
    tree = plant(Node(name="root", reaps=True, children=(chain("a", "b"),)))
    result = kill_tree(tree.root, include_root=False)
    assert {outcome.identity.pid for outcome in result.outcomes} == {tree.pids["a"], tree.pids["b"]}
    assert result.ok
    assert tree.root.poll() is None


def test_targets_below_each_other_are_one_tree(plant: Planter) -> None:
    tree = plant(chain("root", "middle", "last"))
    result = kill_tree([tree.pids["middle"], tree.root])
    assert [outcome.identity.pid for outcome in result.outcomes] == [
        tree.pids["last"],
        tree.pids["middle"],
        tree.pids["root"],
    ]
    assert [identity.pid for identity in result.target] == [tree.pids["middle"], tree.pids["root"]]


@pytest.mark.usefixtures("_walk")
def test_the_walk_names_the_processes_that_psutil_names(plant: Planter) -> None:
    branches = tuple(chain(f"{name}1", f"{name}2") for name in "abc")
    tree = plant(Node(name="root", children=branches))
    oracle = {child.pid for child in psutil.Process(tree.root.pid).children(recursive=True)}
    members = snapshot_tree(tree.root, include_root=False).members
    assert (
        {member.identity.pid for member in members}
        == oracle
        == set(tree.pids.values()) - {tree.root.pid}
    )


def test_a_snapshot_draws_the_tree(plant: Planter) -> None:
    tree = plant(chain("root", "child"))
    drawing = snapshot_tree(tree.root).render().splitlines()
    assert drawing[0].endswith(f"{tree.root.pid} [root]")
    assert drawing[1].startswith("└─ ")
    assert drawing[1].endswith(f"{tree.pids['child']} [descendant, session]")


def test_without_any_time_the_whole_tree_is_found_all_the_same(plant: Planter) -> None:
    tree = plant(chain("root", "middle", "last"))
    assert len(kill_tree(tree.root, grace=0, settle=0).outcomes) == len(tree.pids)
    assert tree.all_dead(within=BOUND)
