"""Real: hundreds of starts that are interrupted, watched, or stopped by another process."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.agents import files
from support.callers import apart
from support.counts import (
    SOAK_INTERRUPTED_STARTS,
    SOAK_SIGNALLED_STARTS,
    SOAK_STOPPED_STARTS,
    SOAK_WATCHED_STARTS,
)
from support.starting import (
    interrupt_sessions,
    start_beside_a_handler,
    start_beside_a_stop,
    start_beside_polls,
)

pytestmark = [pytest.mark.soak, pytest.mark.needs("fork", "waitid", "procfs", "cgroup")]

PATIENCE = 240.0  # seconds that bound a failure


def test_interrupted_sessions_are_ended_or_known(tmp_path: Path) -> None:
    assert apart(lambda: interrupt_sessions(tmp_path, SOAK_INTERRUPTED_STARTS), PATIENCE) > 0
    assert files(tmp_path) == set()


def test_no_owner_is_ended_that_is_starting(tmp_path: Path) -> None:
    start_beside_a_stop(tmp_path, SOAK_STOPPED_STARTS, PATIENCE)
    assert files(tmp_path) == set()


def test_nothing_that_a_handler_starts_is_a_member() -> None:
    apart(lambda: start_beside_a_handler(SOAK_SIGNALLED_STARTS), PATIENCE)


def test_no_handler_waits_for_what_it_interrupted() -> None:
    apart(lambda: start_beside_polls(SOAK_WATCHED_STARTS), PATIENCE)
