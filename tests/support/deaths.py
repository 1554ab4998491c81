"""Owners that are killed by SIGKILL just before one of the system calls of a start."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from proctree_kill import RecoveryReport, TreePopen, recover
from proctree_kill._records.format import entries, parse

from .agents import PATIENT, files, killed_after
from .interception import before_each
from .nodes import chain
from .planter import Planter
from .times import BOUND

NEVER = -1


class Death(NamedTuple):
    """What an owner that died at one step left, and what a recovery made of it.

    Args:
        steps: how many steps the start had, where it was not interrupted.
        left: the names of the files that it left.
        report: the report of the recovery.
        dead: whether all members are dead.
        rest: the names of the files that are left after the recovery.
    """

    steps: int
    left: set[str]
    report: RecoveryReport
    dead: bool
    rest: set[str]


def die_at(step: int, plant: Planter, folder: Path) -> Death:
    """Let an owner start a recorded tree and die before this step, then recover the folder."""
    calls: list[int] = []
    reading, writing = os.pipe()
    with plant.prepare(chain("root", "child")) as prepared:

        def die(index: int) -> None:
            calls.append(index)
            if index == step:
                os.kill(os.getpid(), signal.SIGKILL)

        def begin() -> None:
            with before_each(_steps(), die):
                TreePopen(prepared.argv, record=folder / "session_a.pid", **prepared.options)
            os.write(writing, bytes([len(calls)]))

        assert killed_after(begin) == -signal.SIGKILL
    os.close(writing)
    steps = os.read(reading, 1)
    os.close(reading)
    left = files(folder)
    for name in entries(left):
        parse(folder / name, (folder / name).read_bytes())  # whole, or it raises
    report = recover(folder, policy=PATIENT)
    dead = prepared.tree.all_dead(within=BOUND)
    return Death(steps[0] if steps else 0, left, report, dead, files(folder))


def _steps() -> Iterator[tuple[object, str]]:
    """Name the system calls of a start."""
    acts = "close fsync link mkdir open pidfd_open rename replace unlink write"
    for name in acts.split():
        yield os, name
    yield subprocess, "_fork_exec" if hasattr(subprocess, "_fork_exec") else "Popen"
