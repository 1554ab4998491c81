"""Starts that take until the process has done something: then no timeout is too short."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import TreePopen

from .times import BOUND

Popen = subprocess.Popen[Any]


def await_in_starts(patch: pytest.MonkeyPatch, ready: Callable[[Popen], object]) -> None:
    """Have each Popen and each TreePopen call this before its start is over."""
    for kind in (subprocess.Popen, TreePopen):
        patch.setattr(kind, "__init__", _waiting(kind, ready))


def has_written(process: Popen) -> None:
    """Wait until the pipe of the standard output holds something."""
    assert process.stdout
    assert select.select([process.stdout], [], [], BOUND)[0], "it has written nothing"


def has_exited(process: Popen) -> None:
    """Wait until the root has ended, and leave it to its owner."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def has_made(path: Path) -> Callable[[Popen], None]:
    """Return what waits until there is such a file, on every system."""

    def wait(_: Popen) -> None:
        deadline = time.monotonic() + BOUND
        while not path.exists():
            assert time.monotonic() < deadline, f"{path} was not made"
            time.sleep(0.01)

    return wait


def _waiting(kind: type[Popen], ready: Callable[[Popen], object]) -> Callable[..., None]:
    start: Callable[..., None] = kind.__init__

    def start_and_wait(process: Popen, *args: Any, **options: Any) -> None:
        start(process, *args, **options)
        if type(process) is kind:
            ready(process)

    return start_and_wait
