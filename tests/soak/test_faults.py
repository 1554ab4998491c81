"""Real: each system call of a kill, a stop and a start fails, each bytecode of a start as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.fault_scenes import KILLS, STARTS, failing, interrupted

pytestmark = [pytest.mark.soak, pytest.mark.needs("fork", "pidfd", "procfs", "cgroup")]

ALL = {**KILLS, **STARTS}


@pytest.mark.parametrize("scene", ALL)
def test_all_hold_whichever_call_fails(scene: str, tmp_path: Path) -> None:
    assert failing(ALL[scene], tmp_path, None) == []


@pytest.mark.parametrize("scene", STARTS)
def test_a_start_holds_wherever_it_is_interrupted(scene: str, tmp_path: Path) -> None:
    assert interrupted(STARTS[scene], tmp_path, None) == []  # after every bytecode
