"""Real: a thousand recycled pids, spread over all system calls of every kind of kill."""

from __future__ import annotations

import math

import pytest

from support.callers import in_namespace
from support.counts import SOAK_RECYCLINGS
from support.recycled_kills import RECYCLED, Recycling, try_often

pytestmark = [pytest.mark.soak, pytest.mark.needs("pid namespace", "next pid", "pidfd inode")]

TRIES = math.ceil(SOAK_RECYCLINGS / len(RECYCLED))


@pytest.mark.parametrize("recycling", RECYCLED, ids=str)
def test_no_new_owner_of_a_number_is_ever_touched(recycling: Recycling) -> None:
    quiet, *tries = in_namespace(lambda: try_often(recycling, TRIES), within=200)
    assert quiet.ok
    assert quiet.dead
    assert [attempt.harm for attempt in tries if attempt.harm] == []
    assert sum(attempt.recycled for attempt in tries) > TRIES // 2
    assert all(attempt.ok and attempt.dead for attempt in tries)
