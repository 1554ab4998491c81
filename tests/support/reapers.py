"""Other parts of a program that reap its children: a thread, a handler of SIGCHLD, the kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from proctree_kill import run

from .callers import apart
from .times import BOUND

T = TypeVar("T")


def by_a_thread() -> None:
    """Have a thread wait for any child."""
    # It always has a child to wait for, which ends with this process.
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def reap() -> None:
        while child.returncode is None:
            os.waitpid(-1, 0)

    threading.Thread(target=reap, daemon=True).start()


def by_a_handler() -> None:
    """Reap every dead child whenever SIGCHLD comes."""

    def reap(*_: object) -> None:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    signal.signal(signal.SIGCHLD, reap)


def by_the_kernel() -> None:
    """Ignore SIGCHLD: the kernel reaps."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


WHEN_TOLD = ["sh", "-c", "read line; exit 7"]
REAPERS = {"thread": by_a_thread, "handler": by_a_handler, "kernel": by_the_kernel}


def beside(reaper: str, call: Callable[[], T], *, told: bool = True, within: float = BOUND) -> T:
    """Call something in a forked child where another part of the program reaps.

    Args:
        reaper: which part.
        call: what to call.
        told: whether the kernel tells how a reaped process ended, if it can.
        within: the seconds that it may take.
    """

    def scene() -> T:
        from proctree_kill._systems.linux import pidfd  # noqa: PLC0415 - not on every system

        if not told:
            pidfd.PIDFD_GET_INFO = 0
        REAPERS[reaper]()
        return call()

    return apart(scene, within)


def held_codes(count: int) -> list[tuple[int, int | None]]:
    """Run so many commands that live until their input comes; return both codes of each."""
    done = [run(WHEN_TOLD, input=b"\n") for _ in range(count)]
    return [(tree.returncode, tree.exit_code) for tree in done]
