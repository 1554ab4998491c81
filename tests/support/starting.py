"""Starts that are interrupted, watched or stopped, so many times each.

They run in a forked caller: they set signal handlers and reap children.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from proctree_kill import KillPolicy, SessionManager, TreePopen

from .callers import apart

SLEEP = ["sleep", "1000"]
FORCE = KillPolicy(grace=0)
# Seconds after which a start is interrupted: a start takes about one millisecond.
DELAYS = [step * 0.0001 for step in range(1, 31)]
# Stops a session by its record until its input ends; says when it has met the first one.
STOPPER = """
import select, sys
from proctree_kill import KillPolicy, SessionManager
manager = SessionManager(sys.argv[1], policy=KillPolicy(grace=0), guard=False)
print("up", flush=True)
met = False
while not select.select([sys.stdin], [], [], 0)[0]:
    if manager.stop_agent("x").method == "recovered_record" and not met:
        met = True
        print("met", flush=True)
"""


class Interruption(Exception):  # noqa: N818 - it is no error
    """What a handler raises."""


def interrupt_sessions(folder: Path, count: int) -> int:
    """Interrupt starts of sessions; return how many were not over by then.

    An interrupt right after the return is too late to end it; the manager knows it then.
    """
    interrupted = 0
    manager = SessionManager(folder, policy=FORCE, guard=False)
    for delay in itertools.islice(itertools.cycle(DELAYS), count):
        interrupted += is_interrupted(lambda: manager.spawn_agent("x", SLEEP), delay)
        assert len(manager.sessions) == 1 or has_no_child()
        manager.stop_all()
        assert has_no_child()
    return interrupted


def start_beside_a_handler(count: int) -> None:
    """Start trees while a signal handler starts threads and processes of the caller's own."""
    ours = own_cgroups()
    started: list[subprocess.Popen[bytes]] = []
    threads: list[threading.Thread] = []
    done = threading.Event()

    def handle(*_: object) -> None:
        started.append(subprocess.Popen(SLEEP))
        threads.append(threading.Thread(target=done.wait))
        threads[-1].start()

    signal.signal(signal.SIGALRM, handle)
    for delay in itertools.islice(itertools.cycle(DELAYS), count):
        signal.setitimer(signal.ITIMER_REAL, delay)
        process = TreePopen(SLEEP, containment="kernel")
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert process.containment.cgroup
        members = process.containment.cgroup / "cgroup.procs"
        assert members.read_text().split() == [str(process.pid)]
        assert all(line in ours or line.endswith("-home") for line in own_cgroups())
        assert process.stop(grace=0).ok
        done.set()
        for child in started:
            assert child.poll() is None
            child.kill()
            child.wait()
        for thread in threads:
            thread.join()
        started.clear()
        threads.clear()
        done.clear()


def start_beside_polls(count: int) -> None:
    """Start trees while a handler of SIGCHLD polls them."""
    trees: list[TreePopen[bytes]] = []

    def handle(*_: object) -> None:
        for tree in trees:
            tree.poll()

    signal.signal(signal.SIGCHLD, handle)
    for _ in range(count):
        trees.append(TreePopen(["true"]))
        del trees[:-3]
        trees[-1].wait()


def start_beside_a_stop(folder: Path, count: int, within: float) -> None:
    """Start and stop a session while another process stops it by its record.

    Args:
        folder: where the records are.
        count: starts at the least; there are more until the other process has met a record.
        within: seconds for all of it.
    """
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", STOPPER, str(folder)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as other:
        assert other.stdin
        assert other.stdout
        said = other.stdout
        said.readline()

        def start() -> None:
            manager = SessionManager(folder, policy=FORCE, guard=False)
            for done in itertools.count(1):
                with contextlib.suppress(Exception):  # the record of the other's stop may be there
                    manager.spawn_agent("x", SLEEP)
                manager.stop_agent("x")
                if done >= count and select.select([said], [], [], 0)[0]:
                    break
            reap_all()

        apart(start, within, [said.fileno()])
        other.stdin.close()


def interrupt(*_: object) -> None:
    """Raise, as a signal handler."""
    raise Interruption


def is_interrupted(act: Callable[[], object], delay: float) -> bool:
    """Interrupt something after a while; return whether it was not over by then."""
    signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, delay)
        act()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Interruption:
        return True
    return False


def has_no_child() -> bool:
    """Whether this process has no child, dead or alive."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def reap_all() -> None:
    """Wait for every child of this process."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def own_cgroups() -> set[str]:
    """Return the cgroups in which threads of this process are."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            found.update((task / "cgroup").read_text().splitlines())
    return {line for line in found if line[:3] == "0::"}
