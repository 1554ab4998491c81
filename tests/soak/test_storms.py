"""Real: every storm fifty times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proctree_kill import Evidence
from support.counts import SOAK_STORMS
from support.planter import Planter
from support.storms import KINDS, TRACEABLE, Kind, end_contained_storm, end_storm

pytestmark = [pytest.mark.soak, pytest.mark.needs("fork", "cc")]


@pytest.mark.parametrize("kind", TRACEABLE)
def test_nobody_survives_any_storm(plant: Planter, storm: Path, kind: Kind) -> None:
    survived = []
    for run in range(SOAK_STORMS):
        tree, result = end_storm(plant, storm, kind, run)
        if not (result.ok and tree.all_dead()):
            survived.append((run, result.summary()))
        plant.end()
    assert survived == []


@pytest.mark.needs("cgroup")
@pytest.mark.parametrize("kind", KINDS)
def test_nobody_survives_any_storm_in_a_cgroup(storm: Path, kind: Kind) -> None:
    survived = []
    for run in range(SOAK_STORMS):
        with Planter(in_cgroups=False) as plant:
            tree, result = end_contained_storm(plant, storm, kind, run)
            if not (result.ok and tree.all_dead()):
                survived.append((run, result.summary()))
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
