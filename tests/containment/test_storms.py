"""Real: storms that TreePopen started.

Storms that outrun a scan are here where a cgroup holds them;
elsewhere their orphans would flood the init of the machine with zombies.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.counts import STORMS
from support.planter import Planter
from support.storms import KINDS, Kind, end_contained_storm

pytestmark = pytest.mark.needs("fork", "cc")


@pytest.fixture
def plant() -> Iterator[Planter]:
    with Planter(in_cgroups=False) as planter:
        yield planter


@pytest.mark.needs("cgroup")
@pytest.mark.parametrize("run", range(STORMS))
@pytest.mark.parametrize("kind", KINDS)
def test_no_process_survives_a_storm_in_a_cgroup(
    plant: Planter, storm: Path, kind: Kind, run: int
) -> None:
    tree, result = end_contained_storm(plant, storm, kind, run)
    assert result.ok, result.summary()
    assert tree.all_dead()


@pytest.mark.usefixtures("no_cgroup")
@pytest.mark.parametrize("run", range(STORMS))
@pytest.mark.parametrize("kind", ["growing", "workers", "sessions"])
def test_no_process_survives_a_storm_that_carries_a_marker(
    plant: Planter, storm: Path, kind: Kind, run: int
) -> None:
    tree, result = end_contained_storm(plant, storm, kind, run)
    assert result.ok, result.summary()
    assert tree.all_dead()
