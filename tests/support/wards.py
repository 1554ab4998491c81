"""Owners of guarded trees, and the ways in which they die."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .party import Party
from .trees import BOUND

OWNER = """
import fcntl, os, sys, termios
from pathlib import Path
from proctree_kill import TreePopen
from proctree_kill._containment.guard import guard
if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
how, record = sys.argv[1], Path(sys.argv[2])
quiet = {"stdin": -3, "stdout": -3, "stderr": -3}
trees = [
    TreePopen(sys.argv[3:], containment=how, kill_on_parent_exit=True, record=record, **quiet)
]
trees.append(TreePopen(["sleep", "1000"], containment=how, kill_on_parent_exit=True, **quiet))
os.write(1, b"%d %d\\n" % (guard().pid, trees[1].pid))
while True:
    os.read(0, 1)
"""
"""Start two trees, say who guards them, and live."""


class Ward(NamedTuple):
    """An owner that lives, with two trees and a guard.

    Args:
        owner: the process that will die.
        master: our end of its terminal.
        guard: a descriptor of its guard.
        second: a descriptor of its second tree.
        record: the file that the guard is to remove.
    """

    owner: subprocess.Popen[bytes]
    master: int
    guard: int
    second: int
    record: Path


def _close_terminal(ward: Ward) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, ward.master)
    os.close(null)


DEATHS: dict[str, Callable[[Ward], object]] = {
    "is killed": lambda ward: ward.owner.kill(),
    "is killed with its group": lambda ward: os.killpg(ward.owner.pid, signal.SIGKILL),
    "is terminated": lambda ward: ward.owner.terminate(),
    "loses its terminal": _close_terminal,
}


@contextmanager
def warded(folder: Path, party: Party, how: str) -> Iterator[Ward]:
    """Start an owner with a terminal of its own, and wait until all of its trees live."""
    record = folder / "session_ward.pid"
    master, slave = os.openpty()
    command = [sys.executable, "-c", OWNER, how, str(record), *party.argv()]
    with subprocess.Popen(
        command, stdin=slave, stdout=subprocess.PIPE, start_new_session=True
    ) as owner:
        os.close(slave)
        fds: list[int] = [master]
        try:
            assert owner.stdout
            party.assemble()
            fds += [os.pidfd_open(int(pid)) for pid in owner.stdout.readline().split()]
            _, guard, second = fds
            yield Ward(owner, master, guard, second, record)
        finally:
            owner.kill()
            for fd in fds:
                os.close(fd)


def has_ended(*descriptors: int) -> bool:
    """Wait for the ends of processes, for so long that it would be a failure."""
    return all(select.select([descriptor], [], [], BOUND)[0] for descriptor in descriptors)
