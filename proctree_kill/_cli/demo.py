"""A stubborn tree of real processes: planted, shown, ended, and proved to be gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Self

from .._engine.kill import kill_tree, snapshot_tree
from .demo_process import PASSING, POSIX, below
from .screen import Watcher

if TYPE_CHECKING:
    from .screen import Screen

BOUND = 30.0
"""Seconds after which a process that does not speak, or whose end is not heard, is a failure."""
HELD = "somebody still holds the pipe that all of them held"
NODE = Path(__file__).with_name("demo_process.py")
WRAPPER = 'exec 3>&2 2>/dev/null; (exec "$0" "$@" 2>&3 3>&-); true'
"""Run a command below a shell, which would say "Terminated" when its child dies first.

The last command of a script would replace the shell.
"""
WHAT_IT_IS = {
    "shell": "a wrapper, as npx has one",
    "server": "leaves when it is asked",
    "worker": "a child of the server",
    "deaf": "ignores the request",
    "stopped": "stopped by SIGSTOP",
    "orphan": "its parent is dead",
    "loner": "leads a session of its own",
    "daemon": "left its parent and its session",
}


def run(grace: float, screen: Screen) -> bool:
    """Plant the tree, show it, end it, and tell whether nobody is left.

    Args:
        grace: seconds between the polite request and the force.
        screen: where it is shown.
    """
    tree = Stubborn()
    try:
        with tree:
            return _show(tree, grace, screen)
    except ChildProcessError as error:
        screen.complain(str(error))
        return False
    except KeyboardInterrupt:
        left = "nobody is left" if tree.is_gone() else HELD
        screen.complain(f"interrupted; {left}")
        raise


def _show(tree: Stubborn, grace: float, screen: Screen) -> bool:
    """Show the tree, its end, and that it has ended."""
    notes = {pid: WHAT_IT_IS[role] for role, pid in tree.grow().items()}
    screen.say("A stubborn tree, planted for you:\n")
    screen.draw(snapshot_tree(tree.pid, marker=tree.marker), notes)
    screen.say(f"\nNow everybody is asked to leave; after {grace:g} s there is force:\n")
    with screen.progress() as progress:
        watcher = Watcher(progress)
        result = kill_tree(tree.pid, grace=grace, marker=tree.marker, on_event=watcher)
    screen.report(result)
    gone = tree.is_gone()
    if gone:
        screen.say(
            "\nProof: all of them held one pipe, and it has come to its end: nobody is left."
        )
    else:
        screen.complain(HELD)
    return gone and result.ok


class Stubborn:
    """The tree, from its first process to the end of the last.

    All of them write to one pipe and read from another:
    the first ends with the last of them, and they end with the second,
    so that nobody stays even if this process is killed.
    """

    def __init__(self) -> None:
        """Choose a marker that nobody else has."""
        self.marker = f"PROCTREE_DEMO_{os.urandom(8).hex()}=1"
        self._root: subprocess.Popen[bytes]
        self._births: SimpleQueue[tuple[str, int] | None] = SimpleQueue()
        self._ear = threading.Thread(target=self._listen, name="demo", daemon=True)

    def __enter__(self) -> Self:
        """Listen, and start the first process."""
        self._heard, spoken = os.pipe()
        lease, self._hold = os.pipe()
        try:
            self._ear.start()
            self._root = self._start(lease, spoken)
        except BaseException:
            os.close(self._hold)
            raise
        finally:
            os.close(lease)
            os.close(spoken)
        return self

    def __exit__(self, *_: object) -> None:
        """End whoever is left, and let go."""
        try:
            if self._ear.is_alive():
                kill_tree(self.pid, grace=0, marker=self.marker)
        finally:
            os.close(self._hold)
            self._root.wait(BOUND)
            self.is_gone()

    def _start(self, lease: int, spoken: int) -> subprocess.Popen[bytes]:
        """Start the first process, in a session of its own: Ctrl-C must not reach it."""
        name, _, value = self.marker.partition("=")
        return subprocess.Popen(  # noqa: S603 - our own interpreter and our own file
            wrapped([sys.executable, "-I", "-S", str(NODE), "server"]),
            stdin=lease,
            stdout=spoken,
            env={**os.environ, name: value},
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )

    @property
    def pid(self) -> int:
        """Return the number of the first process; it is ours as long as we do not reap it."""
        return self._root.pid

    def grow(self) -> dict[str, int]:
        """Wait until all have spoken, and return who has which number.

        Raises:
            ChildProcessError: somebody did not.
        """
        pids = {"shell": self.pid}
        missing = set(roles("server"))
        while missing:
            try:
                birth = self._births.get(timeout=BOUND)
            except Empty:
                birth = None
            if birth is None:
                text = f"the tree could not be planted: {', '.join(sorted(missing))} did not start"
                raise ChildProcessError(text)
            pids[birth[0]] = birth[1]
            missing.discard(birth[0])
        return {role: pid for role, pid in pids.items() if role not in PASSING}

    def is_gone(self) -> bool:
        """Tell whether the pipe that all of them hold has come to its end."""
        if self._ear.is_alive():
            self._ear.join(BOUND)
        return not self._ear.is_alive()

    def _listen(self) -> None:
        """Hear each birth, and then the end."""
        with os.fdopen(self._heard, "rb") as voice:
            for line in voice:
                role, pid = line.split()
                self._births.put((role.decode(), int(pid)))
        self._births.put(None)


def roles(first: str) -> Iterator[str]:
    """Yield a role and all below it."""
    yield first
    for one in below(first):
        yield from roles(one)


def wrapped(command: list[str]) -> list[str] | str:
    """Return a command within a shell that waits for it."""
    if POSIX:
        return ["/bin/sh", "-c", WRAPPER, *command]
    return f'{os.environ["COMSPEC"]} /s /c "{subprocess.list2cmdline(command)}"'
