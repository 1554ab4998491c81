"""Real: many exits beside another part of the program that reaps, and beside a wait()."""

from __future__ import annotations

import subprocess
import threading
from functools import partial

import pytest

from proctree_kill import kill_tree
from support.counts import SOAK_REAPED
from support.reapers import REAPERS, beside, held_codes

pytestmark = [pytest.mark.soak, pytest.mark.needs("fork", "procfs", "pidfd")]

PATIENCE = 240.0  # seconds that bound a failure


@pytest.mark.needs("exit status of the reaped")
@pytest.mark.parametrize("reaper", REAPERS)
def test_run_tells_every_exit_code(reaper: str) -> None:
    codes = beside(reaper, partial(held_codes, SOAK_REAPED), within=PATIENCE)
    assert codes == [(7, 7)] * SOAK_REAPED


@pytest.mark.parametrize("reaper", REAPERS)
def test_an_older_kernel_never_makes_a_code_up(reaper: str) -> None:
    codes = beside(reaper, partial(held_codes, SOAK_REAPED), told=False, within=PATIENCE)
    assert {*codes} <= {(7, 7), (255, None)}


def test_the_returncode_is_there_whichever_thread_reaps() -> None:
    for _ in range(SOAK_REAPED):
        process = subprocess.Popen(["sleep", "1000"])
        waiting = threading.Thread(target=process.wait)
        waiting.start()
        kill_tree(process, grace=0)
        assert process.returncode == -9
        waiting.join()
