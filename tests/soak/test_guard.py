"""Real: an owner dies many times each way, and leaves no process and no record."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.counts import SOAK_GUARD_DEATHS
from support.owners import DEATHS, guarded_owner, has_ended
from support.pipe_holders import PipeHolders

pytestmark = [pytest.mark.soak, pytest.mark.needs("fork", "pidfd")]


@pytest.mark.parametrize("how", ["auto", "session"])
@pytest.mark.parametrize("death", ["is killed", "is killed with its group", "loses its terminal"])
def test_the_trees_end_with_their_owner(tmp_path: Path, how: str, death: str) -> None:
    for run in range(SOAK_GUARD_DEATHS):
        folder = tmp_path / str(run)
        folder.mkdir()
        with PipeHolders(folder) as holders, guarded_owner(folder, holders, how) as owner:
            DEATHS[death](owner)
            assert holders.all_dead()
            assert has_ended(owner.second, owner.guard)
            assert not owner.record.exists()
