"""Owners of guarded trees, and the ways in which they die or forget their trees."""

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

from .pipe_holders import PipeHolders
from .times import BOUND

# Starts two trees, prints the pids of the guard and of the second tree, and lives on; once it
# reads a line, it replaces itself.
PROGRAM = """
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
os.read(0, 1)
os.execvp("sleep", ["sleep", "1000"])
"""


class Owner(NamedTuple):
    """A living owner of two trees, with a guard.

    Args:
        process: the process that will die.
        master: our end of its terminal.
        guard: a descriptor of its guard.
        second: a descriptor of its second tree.
        record: the file that the guard is to remove.
    """

    process: subprocess.Popen[bytes]
    master: int
    guard: int
    second: int
    record: Path


def _close_terminal(owner: Owner) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, owner.master)
    os.close(null)


DEATHS: dict[str, Callable[[Owner], object]] = {
    "is killed": lambda owner: owner.process.kill(),
    "is killed with its group": lambda owner: os.killpg(owner.process.pid, signal.SIGKILL),
    "is terminated": lambda owner: owner.process.terminate(),
    "loses its terminal": _close_terminal,
    "replaces itself": lambda owner: os.write(owner.master, b"\n"),
}


@contextmanager
def guarded_owner(folder: Path, holders: PipeHolders, containment: str) -> Iterator[Owner]:
    """Start an owner with a terminal of its own, and wait until all of its trees live."""
    record = folder / "session_guarded.pid"
    master, slave = os.openpty()
    command = [sys.executable, "-c", PROGRAM, containment, str(record), *holders.argv()]
    with subprocess.Popen(
        command, stdin=slave, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        os.close(slave)
        fds: list[int] = [master]
        try:
            assert process.stdout
            holders.await_started()
            fds += [os.pidfd_open(int(pid)) for pid in process.stdout.readline().split()]
            _, guard, second = fds
            yield Owner(process, master, guard, second, record)
        finally:
            process.kill()
            for fd in fds:
                os.close(fd)


def has_ended(*descriptors: int) -> bool:
    """Wait until all of these processes have ended; a bound makes it a failure."""
    return all(select.select([descriptor], [], [], BOUND)[0] for descriptor in descriptors)
