"""Real: storms that TreePopen started.

Not those that outrun a walk, whose orphans would flood the init of the machine with zombies.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from proctree_kill import TreePopen
from support.counts import STORMS
from support.planter import LAUNCH, Planter
from support.storms import BIRTHS, GRACES, Kind

pytestmark = pytest.mark.needs("fork", "cc")


@pytest.mark.parametrize("run", range(STORMS))
@pytest.mark.parametrize("kind", ["growing", "workers", "sessions"])
def test_nobody_survives_a_storm_that_was_contained(
    plant: Planter, storm: Path, kind: Kind, run: int
) -> None:
    argv = [sys.executable, "-I", "-S", "-c", LAUNCH, str(storm), kind, str(BIRTHS)]
    with plant.seed() as seed:
        process = TreePopen(argv, stdin=subprocess.PIPE, env=seed.env, pass_fds=seed.fds)
        seed.tree.root = process
    seed.tree.hear(["root", "storm"])
    grace = 0 if kind == "sessions" else GRACES[run % 2]
    assert process.stdin
    result = process.stop(grace=grace)
    assert result.ok, result.summary()
    assert seed.tree.all_dead()
