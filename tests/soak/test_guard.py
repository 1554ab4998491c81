"""Real: an owner dies a hundred times each way, and never leaves anybody, nor a record."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.counts import SOAK_DEATHS
from support.party import Party
from support.wards import DEATHS, has_ended, warded

pytestmark = [pytest.mark.soak, pytest.mark.needs("fork", "pidfd")]


@pytest.mark.parametrize("how", ["auto", "session"])
@pytest.mark.parametrize("death", ["is killed", "is killed with its group", "loses its terminal"])
def test_the_trees_end_with_their_owner(tmp_path: Path, how: str, death: str) -> None:
    for run in range(SOAK_DEATHS):
        folder = tmp_path / str(run)
        folder.mkdir()
        with Party(folder) as party, warded(folder, party, how) as ward:
            DEATHS[death](ward)
            assert party.is_over()
            assert has_ended(ward.second, ward.guard)
            assert not ward.record.exists()
