"""The guard's process: it reads which trees to end, and ends them when their owner is dead.

A message is one JSON object a line: a tree, named by its marker, or ``{"forget": MARKER}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import threading
import time
from pathlib import Path
from typing import Any

from .._containment.recalled import RecalledTree
from .._engine.kill import kill_tree
from .._engine.process import ExitWaiter
from .._models.identity import ProcessIdentity
from .._records.recording import forget
from .._systems import tidy_cells

GRACE = 0.5  # seconds between asking a tree and the force: its owner is dead, no caller waits
STARTING_TIME = 0.5
"""Seconds within which a process that the owner was just starting has become its program."""
STARTING_POLL = 0.05  # seconds between two looks for such a process

WatchedTree = dict[str, Any]


class GuardProcess:
    """The trees that the owner named, and how they end when it dies."""

    def __init__(self, pipe: int) -> None:
        """Begin without a tree; ``pipe`` is where the owner writes."""
        self.trees: dict[str, WatchedTree] = {}
        self._pipe = pipe
        self._rest = b""

    def read_until(self, death: int) -> None:
        """Read messages until ``death`` can be read, or the pipe ends while there is no tree.

        The pipe alone does not tell of the owner's death: a fork of the owner keeps it open.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(death, selectors.EVENT_READ)
            selector.register(self._pipe, selectors.EVENT_READ)
            dead = False
            while True:
                ready = {key.fd for key, _ in selector.select(0 if dead else None)}
                if self._pipe in ready:
                    if not self._read():
                        selector.unregister(self._pipe)
                        if not self.trees:
                            return
                elif dead:  # all that it wrote before it died is read
                    return
                dead = dead or death in ready

    def _read(self) -> bool:
        """Read what is there; return False at the end of the pipe."""
        data = os.read(self._pipe, 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._note(line)
        return bool(data)

    def _note(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):  # a fork of the owner may write into the pipe as well
            return
        match message:
            case {"forget": str(marker)}:
                self.trees.pop(marker, None)
            case {"marker": str(marker), "cgroup": _, "identity": _, "records": list()}:
                self.trees[marker] = message
            case _:
                pass

    def end_all(self) -> None:
        """End every tree, and remove the records of those of which no member is left."""
        starting = any(tree["identity"] is None for tree in self.trees.values())
        until = time.monotonic() + (STARTING_TIME if starting else 0)
        while self.trees:
            ended = end(list(self.trees.values()))
            if time.monotonic() >= until:
                for tree in ended:
                    for path in tree["records"]:
                        with contextlib.suppress(OSError):  # a later recovery finds it
                            forget(Path(path), tree["marker"])
                return
            time.sleep(STARTING_POLL)


def end(trees: list[WatchedTree]) -> list[WatchedTree]:
    """End trees under one deadline, and return those of which no member is left."""
    with contextlib.suppress(Exception):  # where one cannot be ended the others must be
        if kill_tree([_recall(tree) for tree in trees], grace=GRACE).ok:
            return trees
    return [] if len(trees) == 1 else [ended for tree in trees for ended in end([tree])]


def _recall(tree: WatchedTree) -> RecalledTree:
    identity = tree["identity"]
    root = None if identity is None else ProcessIdentity.model_validate(identity)
    return RecalledTree(tree["marker"], root, tree["cgroup"])


def run(owner: str) -> None:
    """Read messages from the standard input until the owner is dead, and end its trees then."""
    identity = ProcessIdentity.model_validate_json(owner)
    waiter = ExitWaiter(identity.pid)
    death, dying = os.pipe()

    def await_death() -> None:
        if waiter.is_of(identity):
            waiter.wait()
        os.close(dying)

    threading.Thread(target=await_death, daemon=True).start()
    process = GuardProcess(0)
    process.read_until(death)
    process.end_all()
    tidy_cells()
