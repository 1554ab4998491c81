"""Real: a thousand trees started and stopped, and nothing of them kept."""

from __future__ import annotations

import gc
import os
import subprocess
import warnings

import pytest

from proctree_kill import TreePopen, run
from support.counts import SOAK_SPAWNS
from support.memory import open_files, resident
from support.threads import running_threads, wait_for_new_threads

pytestmark = [pytest.mark.soak, pytest.mark.needs("fork", "waitid")]

TREE = ["sh", "-c", "sleep 1000 & setsid sleep 1000 & echo up; sleep 1000"]
A_MEGABYTE = 1 << 20


def start_and_stop() -> None:
    """Start a tree with a daemon in it, stop it, and run a command beside."""
    with TreePopen(TREE, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        assert process.stop(grace=0).ok
    assert run(["true"], capture_output=True).returncode == 0


def test_a_thousand_spawns_and_stops_leave_nothing_in_this_process() -> None:
    for _ in range(20):  # whatever is loaded and kept once
        start_and_stop()
    descriptors, threads, memory = open_files(), running_threads(), resident()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(SOAK_SPAWNS):
            start_and_stop()
        gc.collect()
    wait_for_new_threads(threads)  # those of earlier tests may end meanwhile
    assert open_files() <= descriptors
    assert resident() - memory < 10 * A_MEGABYTE
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
