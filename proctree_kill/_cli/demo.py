"""The command ``demo``: a stubborn tree of real processes is started, shown and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Self

from .._engine.kill import kill_tree, snapshot_tree
from .._models.policy import KillPolicy
from .demo_process import POSIX, SHORT_LIVED, children_of
from .exit_codes import Exit

if TYPE_CHECKING:
    from .screen import Screen

BOUND = 30.0  # seconds; a start or an end that takes longer is a failure
PIPE_HELD = "a process still holds the pipe of the tree"
PROCESS_FILE = Path(__file__).with_name("demo_process.py")
# The true at the end keeps the shell: it would replace itself by its last command. Its standard
# error is away, for it would print "Terminated" if its child dies first.
WRAPPER = 'exec 3>&2 2>/dev/null; (exec "$0" "$@" 2>&3 3>&-); true'
DESCRIPTIONS = {
    "shell": "a wrapper, as npx has one",
    "server": "exits when it is asked",
    "worker": "a child of the server",
    "stubborn": "ignores the request",
    "stopped": "stopped by SIGSTOP",
    "orphan": "its parent is dead",
    "leader": "leads a session of its own",
    "daemon": "left its parent and its session",
}


def run(options: Namespace, screen: Screen) -> Exit:
    """Start the tree, show it, end it.

    Raises:
        PolicyError: the grace is out of range.
    """
    policy = KillPolicy(grace=options.grace)
    tree = DemoTree()
    try:
        with tree:
            return Exit.GONE if _show(tree, policy, screen) else Exit.ALIVE
    except ChildProcessError as error:
        screen.error(str(error))
        return Exit.ALIVE
    except KeyboardInterrupt:
        state = "no process is left" if tree.is_gone() else PIPE_HELD
        screen.error(f"interrupted; {state}", start="\r")  # over the ^C
        raise


def _show(tree: DemoTree, policy: KillPolicy, screen: Screen) -> bool:
    notes = {pid: DESCRIPTIONS[role] for role, pid in tree.wait_until_ready().items()}
    screen.info("A stubborn tree, started for you:\n")
    screen.tree(snapshot_tree(tree.pid, marker=tree.marker), notes)
    screen.info(f"\nNow all are asked to exit; after {policy.grace:g} s force follows:\n")
    with screen.grace(policy.grace, lines=False):
        result = kill_tree(tree.pid, policy=policy, marker=tree.marker)
    screen.table(result)
    gone = tree.is_gone()
    if gone:
        screen.info("\nProof: all of them held one pipe, and it is closed: no process is left.")
    else:
        screen.error(PIPE_HELD)
    return gone and result.ok


class DemoTree:
    """The tree, from the start of its first process to the end of the last.

    Its processes share two pipes. One they write to: it comes to its end with the last of them.
    One they read from: at its end they exit, so that none stays even if this process is killed.
    """

    def __init__(self) -> None:
        """Choose a marker of its own."""
        self.marker = f"PROCTREE_DEMO_{os.urandom(8).hex()}=1"
        self._root: subprocess.Popen[bytes]
        self._started: SimpleQueue[tuple[str, int] | None] = SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="demo", daemon=True)

    def __enter__(self) -> Self:
        self._output, writing = os.pipe()
        reading, self._input = os.pipe()
        try:
            self._reader.start()
            self._root = self._start(reading, writing)
        except BaseException:
            os.close(self._input)
            raise
        finally:
            os.close(reading)
            os.close(writing)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._reader.is_alive():
                kill_tree(self.pid, grace=0, marker=self.marker)
        finally:
            os.close(self._input)
            self._root.wait(BOUND)
            self.is_gone()

    def _start(self, reading: int, writing: int) -> subprocess.Popen[bytes]:
        name, _, value = self.marker.partition("=")
        return subprocess.Popen(  # noqa: S603 - our own interpreter and our own file
            wrapped([sys.executable, "-I", "-S", str(PROCESS_FILE), "server"]),
            stdin=reading,
            stdout=writing,
            env={**os.environ, name: value},
            start_new_session=True,  # Ctrl-C must not reach it
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )

    @property
    def pid(self) -> int:
        """The pid of the first process. It stays its own: this process reaps it last."""
        return self._root.pid

    def wait_until_ready(self) -> dict[str, int]:
        """Wait until all processes run; return their pids by role.

        Raises:
            ChildProcessError: a process did not start.
        """
        pids = {"shell": self.pid}
        missing = set(roles("server"))
        while missing:
            try:
                started = self._started.get(timeout=BOUND)
            except Empty:
                started = None
            if started is None:
                text = f"the tree could not be started: {', '.join(sorted(missing))} did not start"
                raise ChildProcessError(text)
            role, pid = started
            pids[role] = pid
            missing.discard(role)
        return {role: pid for role, pid in pids.items() if role not in SHORT_LIVED}

    def is_gone(self) -> bool:
        """Wait for the end of the pipe that all processes hold; return whether it came."""
        if self._reader.is_alive():
            self._reader.join(BOUND)
        return not self._reader.is_alive()

    def _read(self) -> None:
        with os.fdopen(self._output, "rb") as output:
            for line in output:
                role, pid = line.split()
                self._started.put((role.decode(), int(pid)))
        self._started.put(None)


def roles(first: str) -> Iterator[str]:
    """Yield a role and all roles below it."""
    yield first
    for role in children_of(first):
        yield from roles(role)


def wrapped(command: list[str]) -> list[str] | str:
    """Return a command within a shell that waits for it."""
    if POSIX:
        return ["/bin/sh", "-c", WRAPPER, *command]
    return f'{os.environ["COMSPEC"]} /s /c "{subprocess.list2cmdline(command)}"'
