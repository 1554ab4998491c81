"""Other parts of a program that reap its children: a thread, a handler of SIGCHLD, the kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from proctree_kill import run

from .callers import apart
from .times import BOUND

T = TypeVar("T")


@contextmanager
def by_a_thread() -> Iterator[None]:
    """Have a thread wait for any child."""
    # It always has a child to wait for, and is the only one that reaps that.
    child, ended = subprocess.Popen(["cat"], stdin=subprocess.PIPE), threading.Event()

    def reap() -> None:
        while os.waitpid(-1, 0)[0] != child.pid:
            pass
        ended.set()

    threading.Thread(target=reap, daemon=True).start()
    try:
        yield
    finally:
        assert child.stdin
        child.stdin.close()
        ended.wait()
        child.returncode = 0


@contextmanager
def by_a_handler() -> Iterator[None]:
    """Reap every dead child whenever SIGCHLD comes."""

    def reap(*_: object) -> None:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    signal.signal(signal.SIGCHLD, reap)
    yield


@contextmanager
def by_the_kernel() -> Iterator[None]:
    """Ignore SIGCHLD: the kernel reaps."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield


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
        with REAPERS[reaper]():
            return call()

    return apart(scene, within)


def held_codes(count: int) -> list[tuple[int, int | None]]:
    """Run so many commands that live until their input comes; return both codes of each."""
    done = [run(WHEN_TOLD, input=b"\n") for _ in range(count)]
    return [(tree.returncode, tree.exit_code) for tree in done]
