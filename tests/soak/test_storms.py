"""Real: every storm fifty times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from proctree_kill import Evidence, kill_tree
from support.counts import SOAK_FORKERS, SOAK_STORMS
from support.planter import Planter
from support.storms import (
    KINDS,
    TRACEABLE,
    Kind,
    end_contained_storm,
    end_storm,
    plant_forker,
)
from support.times import BOUND

pytestmark = [pytest.mark.soak, pytest.mark.needs("fork", "cc")]


@pytest.mark.parametrize("kind", TRACEABLE)
def test_no_process_survives_any_storm(plant: Planter, storm: Path, kind: Kind) -> None:
    survived = []
    for run in range(SOAK_STORMS):
        tree, result = end_storm(plant, storm, kind, run)
        if not (result.ok and tree.all_dead()):
            survived.append((run, result.summary()))
        plant.end()
    assert survived == []


@pytest.mark.needs("cgroup")
@pytest.mark.parametrize("kind", KINDS)
def test_no_process_survives_any_storm_in_a_cgroup(storm: Path, kind: Kind) -> None:
    survived = []
    for run in range(SOAK_STORMS):
        with Planter(in_cgroups=False) as plant:
            tree, result = end_contained_storm(plant, storm, kind, run)
            if not (result.ok and tree.all_dead()):
                survived.append((run, result.summary()))
    assert survived == []


@pytest.mark.parametrize(
    ("megabytes", "thread"), [(20, "main"), (200, "main"), (200, "other"), (1000, "main")]
)
def test_no_child_of_a_fork_under_way_survives(
    plant: Planter, megabytes: int, thread: Literal["main", "other"]
) -> None:
    survived = []
    for run in range(SOAK_FORKERS):
        tree = plant_forker(plant, megabytes, run, thread)
        result = kill_tree(tree.root.pid, grace=BOUND * (run % 2))
        if not (result.ok and tree.all_dead() and Evidence.DESCENDANT in result.verified):
            survived.append((run, result.summary()))
        plant.end()
    assert survived == []


def test_successors_in_new_sessions_are_left_to_chance(
    plant: Planter, storm: Path, record_property: Callable[[str, object], None]
) -> None:
    escaped = 0
    for run in range(SOAK_STORMS):
        tree, result = end_storm(plant, storm, "fugitives", run)
        assert set(result.verified) <= {Evidence.DESCENDANT, Evidence.SESSION}
        escaped += not tree.all_dead()
        plant.end()
    record_property("escaped", f"{escaped} of {SOAK_STORMS}")
