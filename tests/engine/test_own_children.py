"""Real: the roots of other trees of ours are not read, unless they were given the marker."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from proctree_kill import Containment, TreePopen, kill_tree
from proctree_kill._engine import markers as engine_markers
from support.callers import apart
from support.times import PATIENCE

pytestmark = pytest.mark.needs("fork", "procfs")

SLEEP = ["sleep", "1000"]


@pytest.fixture
def other() -> Iterator[TreePopen[bytes]]:
    """Start another tree, and end it."""
    process = TreePopen(SLEEP)
    yield process
    process.stop(grace=0)


def test_the_stop_of_one_tree_reads_no_other(
    other: TreePopen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from proctree_kill._systems.linux import memory  # noqa: PLC0415 - not on every system

    asked: set[int] = set()
    carries = memory.carries

    def noted(pid: int, markers: Collection[bytes], since: int) -> bool | None:
        asked.add(pid)
        return carries(pid, markers, since)

    monkeypatch.setattr(memory, "carries", noted)
    assert TreePopen(SLEEP).stop().ok
    assert asked
    assert other.pid not in asked


def test_a_child_that_was_given_the_marker_of_another_tree_is_a_part_of_that() -> None:
    containment = Containment.prepare()
    process = TreePopen(SLEEP, env=containment.popen_kwargs()["env"])
    result = kill_tree(containment, grace=PATIENCE)
    assert {outcome.identity.pid for outcome in result.outcomes} == {process.pid}
    assert process.wait() == -15


@pytest.mark.parametrize("attached", [False, True])
def test_what_a_thread_spawned_for_a_containment_is_found(attached: bool) -> None:  # noqa: FBT001
    def spawn() -> subprocess.Popen[bytes]:
        return subprocess.Popen(SLEEP, **containment.popen_kwargs())

    containment = Containment.prepare("session")
    with ThreadPoolExecutor(1) as pool:  # its thread lives: what is below it has no other parent
        first, second = pool.submit(spawn).result(), pool.submit(spawn).result()
        if attached:
            containment.attach(first)
        outcomes = kill_tree(containment, grace=0).outcomes
    assert {outcome.identity.pid for outcome in outcomes} == {first.pid, second.pid}
    assert (first.wait(), second.wait()) == (-9, -9)


def test_a_marker_that_is_not_ours_may_belong_to_any_process(other: TreePopen[bytes]) -> None:
    root = TreePopen(SLEEP)
    second = TreePopen(SLEEP, env={**os.environ, "MINE": "1"})
    result = kill_tree(root, marker="MINE=1", grace=PATIENCE)
    assert {outcome.identity.pid for outcome in result.outcomes} == {root.pid, second.pid}
    assert second.wait() == -15
    assert other.poll() is None


def test_a_reaped_process_is_not_reported(other: TreePopen[bytes]) -> None:
    assert other.pid in engine_markers.children_without(())
    other.stop(grace=0)
    assert other.pid not in engine_markers.children_without(())


def test_a_fork_has_no_children_of_its_parent_s(other: TreePopen[bytes]) -> None:
    assert other.pid not in apart(lambda: set(engine_markers.children_without(())))
