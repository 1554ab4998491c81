"""Real: what processes used, as each system reads it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proctree_kill._systems import current
from proctree_kill._systems.contract import System
from proctree_kill._systems.member import Member
from proctree_kill._systems.psutil_system import PsutilSystem
from support.burning import BURN, BURN_IN_CHILD, HELD, HOLD, SEEN, ready

pytestmark = pytest.mark.needs("fork")

SYSTEMS = pytest.mark.parametrize("system_of", [current, PsutilSystem], ids=["current", "psutil"])


@SYSTEMS
@pytest.mark.parametrize("code", [BURN, BURN_IN_CHILD], ids=["itself", "reaped child"])
def test_the_cpu_time_of_a_process_holds_that_of_its_reaped_children(
    system_of: Callable[[], System], code: str
) -> None:
    with ready(code) as process, system_of() as system:
        member = system.bind(process.pid)
        assert member
        used = system.cpu_used([member])
        assert used
        assert used.user + used.system >= SEEN
        twice = system.cpu_used([member, member])
        assert twice == pytest.approx([2 * used.user, 2 * used.system])


@SYSTEMS
def test_the_memory_of_a_process_is_what_it_has_resident(system_of: Callable[[], System]) -> None:
    with ready(HOLD) as process, system_of() as system:
        member = system.bind(process.pid)
        assert member
        assert (system.memory_used([member]) or 0) >= HELD


@SYSTEMS
def test_what_does_not_tell_is_not_known(system_of: Callable[[], System]) -> None:
    with system_of() as system:
        assert system.cpu_used([Member(1)]) is None
        assert system.memory_used([]) is None
