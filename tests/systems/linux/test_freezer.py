"""Seam and real: processes that a cgroup of version 1 has frozen."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fcntl", reason="what is for Linux needs POSIX to be imported")

from proctree_kill import Fate, KillResult, ProcessOutcome, kill_tree
from proctree_kill._systems.contract import UnavailableError
from proctree_kill._systems.linux import cgroupfs, freezer, procfs, survival
from support.nodes import Node, chain
from support.planter import Planter
from support.times import BOUND
from support.trees import Tree

SETTLE = 0.5  # seconds in which what is frozen must not die
ONE = chain("root", "child")


class FrozenCgroup:
    """A cgroup of version 1 with its freezer, and another below it."""

    def __init__(self, path: Path) -> None:
        (path / "below").mkdir(parents=True)
        self.path, self.below = path, path / "below"

    def freeze(self, *pids: int, folder: Path | None = None) -> None:
        """Move processes in, and freeze the whole; return when all are frozen."""
        for pid in pids:
            ((folder or self.path) / "cgroup.procs").write_text(str(pid))
        self.state = b"FROZEN"
        while self.state != b"FROZEN":  # each read looks at all tasks; a signal is on its way
            os.sched_yield()

    @property
    def state(self) -> bytes:
        return (self.path / "freezer.state").read_bytes().strip()

    @state.setter
    def state(self, state: bytes) -> None:
        (self.path / "freezer.state").write_bytes(state)

    def remove(self) -> None:
        self.state = b"THAWED"
        for folder in (self.below, self.path):
            while (folder / "cgroup.procs").read_bytes():  # thawed, they die now
                os.sched_yield()
            folder.rmdir()


@pytest.fixture
def cgroup(plant: Planter) -> Iterator[FrozenCgroup]:
    """Make a cgroup, whose processes are ended with it."""
    try:
        parent = Path(cgroupfs.folder_of("self", "freezer"))
        made = FrozenCgroup(parent / f"proctree-test-{uuid.uuid4().hex[:8]}")
    except (UnavailableError, OSError) as error:
        pytest.skip(f"this machine has no freezer of version 1: {error}")
    yield made
    made.state = b"THAWED"
    plant.end()
    made.remove()


def survivors_below(tree: Tree, result: KillResult) -> list[ProcessOutcome]:
    """Return the survivors but for the root, which may take longer to die than it was given."""
    return [found for found in result.survivors if found.identity.pid != tree.root.pid]


@pytest.mark.parametrize("grace", [0.0, 0.1])
@pytest.mark.parametrize("below", [False, True])
def test_a_frozen_member_is_killed_and_thawed(
    plant: Planter, cgroup: FrozenCgroup, grace: float, *, below: bool
) -> None:
    tree = plant(Node(name="root", children=(Node(name="child", on_term="ignore"),)))
    cgroup.freeze(tree.pids["child"], folder=cgroup.below if below else None)
    result = kill_tree(tree.root, grace=grace, settle=BOUND)
    assert result.ok
    assert tree.all_dead()
    assert cgroup.state == b"THAWED"
    assert "descendant" in result.verified


def test_a_whole_frozen_tree_is_killed_and_thawed(plant: Planter, cgroup: FrozenCgroup) -> None:
    tree = plant(ONE)
    cgroup.freeze(*tree.pids.values())
    result = kill_tree(tree.root, grace=0, settle=BOUND)
    assert {outcome.fate for outcome in result.outcomes} == {Fate.KILLED}
    assert tree.all_dead()


def test_a_frozen_member_of_a_containment_is_killed(plant: Planter, cgroup: FrozenCgroup) -> None:
    process, tree = plant.contained(ONE)
    cgroup.freeze(tree.pids["child"])
    assert process.stop(grace=0, settle=BOUND).ok
    assert tree.all_dead()
    assert cgroup.state == b"THAWED"


def test_a_kill_that_does_not_wait_thaws_as_well(plant: Planter, cgroup: FrozenCgroup) -> None:
    process, tree = plant.contained(ONE, containment="session")
    cgroup.freeze(tree.pids["child"])
    process.kill()
    assert tree.all_dead(BOUND)
    process.wait()


@pytest.mark.parametrize("below", [False, True])
def test_a_cgroup_with_other_processes_stays_frozen(
    plant: Planter, cgroup: FrozenCgroup, *, below: bool
) -> None:
    tree, other = plant(ONE), plant(Node(name="root"))
    cgroup.freeze(other.root.pid)
    cgroup.freeze(tree.pids["child"], folder=cgroup.below if below else None)
    result = kill_tree(tree.root, grace=0, settle=SETTLE)
    assert cgroup.state == b"FROZEN"
    (survivor,) = survivors_below(tree, result)
    assert survivor.identity.pid == tree.pids["child"]
    assert survivor.fate is Fate.SURVIVED
    assert str(cgroup.path) in str(survivor.detail)
    assert not other.all_dead()


def test_a_cgroup_with_a_spared_member_stays_frozen(plant: Planter, cgroup: FrozenCgroup) -> None:
    tree = plant(Node(name="root", children=(Node(name="child"), Node(name="spared"))))
    cgroup.freeze(tree.pids["child"], tree.pids["spared"])
    result = kill_tree(tree.root, grace=0, settle=SETTLE, spare=[tree.pids["spared"]])
    assert cgroup.state == b"FROZEN"
    survivors = survivors_below(tree, result)
    assert [outcome.identity.pid for outcome in survivors] == [tree.pids["child"]]


def make(folder: Path, state: str, pids: str) -> Path:
    """Make a directory like a cgroup that freezes by itself."""
    folder.mkdir(parents=True)
    files = {"freezer.state": state, "freezer.self_freezing": "1\n", "cgroup.procs": pids}
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_no_cgroup_is_thawed_that_lets_another_process_run(tmp_path: Path) -> None:
    outer = make(tmp_path / "outer", "FROZEN\n", "")
    inner = make(outer / "inner", "FROZEN\n", "7\n8\n")
    make(outer / "beside", "FROZEN\n", "0\n")  # a process of another pid namespace
    assert not freezer.thaw(str(inner), [7])
    assert not freezer.thaw(str(inner), [7, 8])
    assert (inner / "freezer.state").read_text() == "FROZEN\n"
    (outer / "beside" / "cgroup.procs").write_text("9\n")
    assert freezer.thaw(str(inner), [7, 8, 9])
    assert (inner / "freezer.state").read_text().startswith("THAWED")
    assert (outer / "freezer.state").read_text().startswith("THAWED")


def test_the_freezer_of_version_1_is_found_in_mountinfo() -> None:
    mounts = (
        "30 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "36 25 0:32 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
    )
    membership = "6:freezer:/docker/a:b\n1:name=systemd:/x\n0::/y\n"
    found = cgroupfs.find(mounts, membership, "freezer")
    assert found == "/sys/fs/cgroup/freezer/docker/a:b"
    assert cgroupfs.find(mounts, membership) == "/sys/fs/cgroup/unified/y"
    with pytest.raises(UnavailableError, match="version 1"):
        cgroupfs.find(mounts, membership, "cpu")


@pytest.mark.needs("procfs")
@pytest.mark.parametrize(
    ("state", "tracer", "words"),
    [(b"D (disk sleep)", b"0", "uninterruptible"), (b"t (tracing stop)", b"7", "process 7 traces")],
)
def test_a_survivor_is_explained(
    monkeypatch: pytest.MonkeyPatch, state: bytes, tracer: bytes, words: str
) -> None:
    monkeypatch.setattr(procfs, "status", lambda _: {b"State": state, b"TracerPid": tracer})
    assert words in str(survival.reason(os.getpid()))


@pytest.mark.needs("procfs")
def test_what_merely_lives_needs_no_explanation() -> None:
    assert survival.reason(os.getpid()) is None
