"""Real: a member's pid gets a new owner just before one of the system calls of a kill."""

from __future__ import annotations

import pytest

from support.callers import in_namespace
from support.counts import RECYCLINGS
from support.recycled_kills import RECYCLED, Recycling, try_often

pytestmark = pytest.mark.needs("pid namespace", "next pid", "pidfd inode")


@pytest.mark.parametrize("recycling", RECYCLED, ids=str)
def test_the_new_owner_of_a_number_is_not_touched(recycling: Recycling) -> None:
    quiet, *tries = in_namespace(lambda: try_often(recycling, RECYCLINGS))
    assert quiet.ok
    assert quiet.dead
    assert [attempt.harm for attempt in tries] == [""] * RECYCLINGS
    assert any(attempt.recycled for attempt in tries)
    assert all(attempt.ok and attempt.dead for attempt in tries)
