"""Real: trees that fork as fast as they can, bounded at 300 live processes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

import pytest

from proctree_kill import Evidence, kill_tree
from support.capabilities import has
from support.counts import FORKERS, STORMS
from support.planter import Planter
from support.storms import TRACEABLE, VFORK, Kind, build, end_storm, plant_forker
from support.times import BOUND

pytestmark = pytest.mark.needs("fork", "cc")


@pytest.mark.parametrize("run", range(STORMS))
@pytest.mark.parametrize("kind", TRACEABLE)
def test_no_process_survives_a_storm(plant: Planter, storm: Path, kind: Kind, run: int) -> None:
    tree, result = end_storm(plant, storm, kind, run)
    assert result.ok, result.summary()
    assert tree.all_dead()
    assert set(result.verified) == {Evidence.DESCENDANT, Evidence.SESSION}


@pytest.mark.parametrize("run", range(STORMS))
def test_no_evidence_is_claimed_against_successors_in_new_sessions(
    plant: Planter, storm: Path, run: int
) -> None:
    _, result = end_storm(plant, storm, "fugitives", run)
    assert set(result.verified) <= {Evidence.DESCENDANT, Evidence.SESSION}
    assert all(outcome.evidence != (Evidence.MARKER,) for outcome in result.outcomes)


@pytest.mark.parametrize("run", range(FORKERS))
@pytest.mark.parametrize("thread", ["main", "other"])
@pytest.mark.parametrize("grace", [0, BOUND], ids=["forced", "asked"])
def test_a_fork_under_way_leaves_no_child_behind(
    plant: Planter, thread: Literal["main", "other"], run: int, grace: float
) -> None:
    tree = plant_forker(plant, 50, run, thread)
    result = kill_tree(tree.root.pid, grace=grace)
    assert result.ok, result.summary()
    assert tree.all_dead()
    assert result.verified == (Evidence.DESCENDANT,)


def test_a_parent_that_waits_for_its_vfork_needs_no_stop(plant: Planter, tmp_path: Path) -> None:
    """It stays in state D for as long as its frozen child does not call exec."""
    tree = plant.program([str(build(VFORK, tmp_path))], stdin=subprocess.PIPE)
    tree.await_started("parent")
    # "0" for every thread before Linux 5.16 (ORC unwinder), where root may read the stack
    told = has("root") or Path(f"/proc/{tree.pids['parent']}/wchan").read_text() != "0"
    result = kill_tree(tree.pids["parent"], grace=0)
    assert result.ok
    assert len(result.outcomes) == 2
    assert (Evidence.DESCENDANT in result.verified) is told
    assert Evidence.SESSION in result.verified
