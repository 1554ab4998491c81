"""Real: what a tree without a cell used, by what its members told."""

from __future__ import annotations

import pytest

from proctree_kill import kill_tree
from support.burning import BURN, BURN_IN_CHILD, BURN_IN_ORPHAN, HELD, HOLD, SECONDS, SEEN, ready
from support.times import BOUND

pytestmark = pytest.mark.needs("fork")

BURN_WHEN_ASKED = f"""\
import os, signal
def leave(*_):
    until = time.process_time() + {SECONDS}
    while time.process_time() < until: pass
    os._exit(0)
import time
signal.signal(signal.SIGTERM, leave)
"""


@pytest.mark.parametrize(
    "code", [BURN, BURN_IN_CHILD, BURN_IN_ORPHAN], ids=["root", "reaped child", "orphan"]
)
def test_the_cpu_time_of_a_tree_is_in_the_result(code: str) -> None:
    with ready(code) as process:
        result = kill_tree(process, grace=0)
    assert result.ok
    assert result.usage
    assert result.usage.cpu >= SEEN
    assert result.usage.cpu == result.usage.user + result.usage.system
    assert not result.usage.complete
    assert not result.usage.out_of_memory
    assert result.usage.processes == 1 + (code == BURN_IN_ORPHAN)


def test_the_memory_of_a_tree_is_in_the_result() -> None:
    with ready(HOLD) as process:
        result = kill_tree(process, grace=0)
    assert result.usage
    assert result.usage.peak_memory
    assert result.usage.peak_memory >= HELD


def test_what_a_root_used_after_it_was_asked_counts() -> None:
    with ready(BURN_WHEN_ASKED) as process:
        result = kill_tree(process.pid, grace=BOUND)
    assert not result.forced
    assert result.usage
    assert result.usage.cpu >= SEEN


def test_a_target_that_was_gone_used_nothing_that_is_known() -> None:
    with ready() as process:
        process.kill()
        process.wait()
        assert kill_tree(process).usage is None
