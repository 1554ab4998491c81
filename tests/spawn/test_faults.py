"""Real: whichever system call fails, and wherever a start is interrupted, three promises hold.

No foreign process is signalled, none is left after an exception, and no call hangs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.counts import FAULTS
from support.fault_scenes import KILLS, STARTS, failing, interrupted

pytestmark = pytest.mark.needs("fork", "pidfd", "procfs", "cgroup")


@pytest.mark.parametrize("scene", KILLS)
def test_a_kill_holds_whichever_call_fails(scene: str, tmp_path: Path) -> None:
    assert failing(KILLS[scene], tmp_path, FAULTS) == []


@pytest.mark.parametrize("scene", STARTS)
def test_a_start_holds_whichever_call_fails(scene: str, tmp_path: Path) -> None:
    assert failing(STARTS[scene], tmp_path, FAULTS) == []


@pytest.mark.parametrize("scene", STARTS)
def test_a_start_holds_wherever_it_is_interrupted(scene: str, tmp_path: Path) -> None:
    assert interrupted(STARTS[scene], tmp_path, FAULTS) == []
