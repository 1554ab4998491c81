"""Real: a program uses up all descriptors while its command runs, which ends all the same."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from proctree_kill import TreePopen, run
from proctree_kill._spawn.time_limit import TimeLimit
from proctree_kill._systems import scarcity
from proctree_kill._systems.pid import peek
from support.callers import apart, limit_descriptors

pytestmark = pytest.mark.needs("fork", "procfs")

SLEEP = ["sleep", "1000"]


def use_up() -> list[int]:
    """Open all that may be opened."""
    found: list[int] = []
    try:
        while True:
            found.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return found


def use_up_in_runs(patch: pytest.MonkeyPatch) -> list[int]:
    """Have all descriptors used up as soon as a command runs: its limit is asked for then."""
    held: list[int] = []
    ask = TimeLimit.__call__

    def ask_in_want(limit: TimeLimit) -> float:
        held.extend(use_up())
        return ask(limit)

    patch.setattr(TimeLimit, "__call__", ask_in_want)
    return held


def run_to_its_timeout() -> None:
    run(SLEEP, timeout=0.2, grace=0)


def leave_the_block() -> None:
    with TreePopen(SLEEP):
        use_up()
        raise KeyError


@pytest.mark.parametrize("act", [run_to_its_timeout, leave_the_block])
def test_without_a_descriptor_the_root_is_killed(act: Callable[[], None]) -> None:
    def scene() -> list[object]:
        limit_descriptors(64)
        roots: list[TreePopen[bytes]] = []
        kill_root = TreePopen.kill_root

        def note(root: TreePopen[bytes]) -> None:
            roots.append(root)
            kill_root(root)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scarcity, "PATIENCE", 0.1)
            patch.setattr(TreePopen, "kill_root", note)
            use_up_in_runs(patch)
            with pytest.raises(OSError, match="Too many open files"):
                act()
        return [(root.returncode, peek(root.pid)) for root in roots]

    assert apart(scene) == [(-9, False)]


def test_a_descriptor_that_comes_back_is_waited_for() -> None:
    def scene() -> bool:
        limit_descriptors(64)
        with pytest.MonkeyPatch.context() as patch:
            held = use_up_in_runs(patch)

            def give_back(_: float) -> None:
                while held:
                    os.close(held.pop())

            clock = SimpleNamespace(monotonic=time.monotonic, sleep=give_back)
            patch.setattr(scarcity, "time", clock)
            with pytest.raises(subprocess.TimeoutExpired) as expired:
                run(SLEEP, timeout=0.2, grace=0)
        return expired.value.kill.ok  # type: ignore[attr-defined,no-any-return] # ours

    assert apart(scene)
