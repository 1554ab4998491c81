"""A stubborn tree of real processes: planted, shown, ended, and proved to be gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, Self, cast

from ._kill import kill_tree, snapshot_tree
from ._stubborn import PASSING, POSIX, below
from ._watch import watching

if TYPE_CHECKING:
    from ._screen import Screen

BOUND = 30.0
"""Seconds after which a process that does not speak, or whose end is not heard, is a failure."""
NODE = Path(__file__).with_name("_stubborn.py")
WHAT_IT_IS = {
    "shell": "a wrapper, as npx has one",
    "server": "leaves when it is asked",
    "worker": "a child of the server",
    "deaf": "ignores SIGTERM",
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
    with Stubborn() as tree:
        try:
            notes = {pid: WHAT_IT_IS[role] for role, pid in tree.grow().items()}
        except ChildProcessError as error:
            screen.complain(str(error))
            return False
        screen.say("A stubborn tree, planted for you:\n")
        screen.draw(snapshot_tree(tree.pid, marker=tree.marker), notes)
        screen.say(
            f"\nNow it is ended: everybody is asked, and after {grace:g} s there is force.\n"
        )
        with watching(screen) as watcher:
            result = kill_tree(tree.pid, grace=grace, marker=tree.marker, on_event=watcher)
        screen.report(result)
        gone = tree.is_gone()
    if gone:
        screen.say(
            "\nProof: all of them held one pipe, and it has come to its end: nobody is left."
        )
    else:
        screen.complain("somebody still holds the pipe that all of them held")
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
        self._births: SimpleQueue[tuple[str, int] | None] = SimpleQueue()
        self._ear = threading.Thread(target=self._listen, name="demo", daemon=True)

    def __enter__(self) -> Self:
        """Start the first process."""
        name, _, value = self.marker.partition("=")
        self._root = subprocess.Popen(  # noqa: S603 - our own interpreter and our own file
            wrapped([sys.executable, "-I", "-S", str(NODE), "server"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, name: value},
            start_new_session=True,  # or Ctrl-C would reach them as well
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self._hold = cast("IO[bytes]", self._root.stdin)
        self._voice = cast("IO[bytes]", self._root.stdout)
        self._ear.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End whoever is left, and let go."""
        try:
            if self._ear.is_alive():
                kill_tree(self.pid, grace=0, marker=self.marker)
        finally:
            self._hold.close()
            self._root.wait(BOUND)
            self._ear.join(BOUND)
            self._voice.close()

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
        self._ear.join(BOUND)
        return not self._ear.is_alive()

    def _listen(self) -> None:
        """Hear each birth, and then the end."""
        for line in self._voice:
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
        return ["/bin/sh", "-c", '"$0" "$@"; true', *command]  # a last command would replace it
    return f'{os.environ["COMSPEC"]} /s /c "{subprocess.list2cmdline(command)}"'
