"""Real: a program uses up all descriptors while its command runs, which ends all the same."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from proctree_kill import TreePopen, run
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


def run_to_its_timeout() -> None:
    threading.Timer(0.2, use_up).start()
    run(SLEEP, timeout=1, grace=0)


def leave_the_block() -> None:
    with TreePopen(SLEEP):
        use_up()
        raise KeyError


@pytest.mark.parametrize("act", [run_to_its_timeout, leave_the_block])
def test_without_a_descriptor_the_root_is_killed(act: Callable[[], None]) -> None:
    def scene() -> list[object]:
        limit_descriptors(64)
        roots: list[TreePopen[bytes]] = []
        start = TreePopen.kill_root

        def note(root: TreePopen[bytes]) -> None:
            roots.append(root)
            start(root)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scarcity, "PATIENCE", 0.1)
            patch.setattr(TreePopen, "kill_root", note)
            with pytest.raises(OSError, match="Too many open files"):
                act()
        return [(root.returncode, peek(root.pid)) for root in roots]

    assert apart(scene) == [(-9, False)]


def test_a_descriptor_that_comes_back_is_waited_for() -> None:
    def scene() -> bool:
        limit_descriptors(64)
        held: list[int] = []

        def give_back() -> None:
            time.sleep(0.8)
            for descriptor in held:
                os.close(descriptor)

        def take() -> None:
            held.extend(use_up())
            give_back()

        threading.Timer(0.2, take).start()
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            run(SLEEP, timeout=0.5, grace=0)
        return expired.value.kill.ok  # type: ignore[attr-defined,no-any-return] # ours

    assert apart(scene)
