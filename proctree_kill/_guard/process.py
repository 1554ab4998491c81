"""The guard's process: it reads which trees to end, and ends them when their owner is dead.

A message is one JSON object a line: a tree, named by its marker, or ``{"forget": MARKER}``.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._containment.recalled import RecalledTree
from .._engine.kill import kill_tree
from .._engine.presence import Presence, look_up
from .._engine.process import ExitWaiter
from .._models.identity import ProcessIdentity
from .._records.recording import forget
from .._systems import tidy_cells
from .._systems.scarcity import retry

GRACE = 0.5  # seconds between asking a tree and the force: its owner is dead, no caller waits
STARTING_TIME = 0.5
"""Seconds within which a process that the owner was just starting has become its program."""
STARTING_POLL = 0.05  # seconds between two looks for such a process
PATIENCE = 10.0
"""Seconds for which it waits for memory: an owner that was killed for want of it leaves little."""
LOOKS, LOOK_POLL = 10, 0.05  # seconds between two looks
"""How often the owner is looked at after the end of its pipe: macOS ends it early in an exec."""

WatchedTree = dict[str, Any]


class GuardProcess:
    """The trees that the owner named, and how they end when it dies."""

    def __init__(self, pipe: int) -> None:
        """Begin without a tree; ``pipe`` is where the owner writes."""
        self.trees: dict[str, WatchedTree] = {}
        self._pipe = pipe
        self._rest = b""

    def read_until(self, death: int, is_replaced: Callable[[], bool] = bool) -> None:
        """Read messages until the owner is dead, or the pipe ends while there is no tree.

        The pipe alone does not tell of the owner's death: a fork of the owner keeps it open.

        Args:
            death: can be read once the process of the owner is dead.
            is_replaced: whether it runs another program; asked after the end of the pipe, for an
                exec closes that.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(death, selectors.EVENT_READ)
            selector.register(self._pipe, selectors.EVENT_READ)
            dead, looks = False, 0
            while True:
                pause = 0 if dead else LOOK_POLL if looks else None
                ready = {key.fd for key, _ in selector.select(pause)}
                if self._pipe in ready:
                    if not self._read():
                        selector.unregister(self._pipe)
                        if not self.trees:
                            return
                        looks = LOOKS
                elif dead:  # all that it wrote before it died is read
                    return
                dead = dead or death in ready or (looks > 0 and is_replaced())
                looks = max(looks - 1, 0)

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
            case {
                "marker": str(marker),
                "cgroup": _,
                "identity": _,
                "records": list(),
                "spare": list(),
            }:
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
    """End trees under one deadline, and return those of which no member is left.

    Trees that spare other programs are ended by themselves.
    """
    if others := [tree for tree in trees if tree["spare"] != trees[0]["spare"]]:
        return end([tree for tree in trees if tree not in others]) + end(others)
    with contextlib.suppress(Exception):  # where one cannot be ended the others must be
        recalled = [_recall(tree) for tree in trees]
        if retry(lambda: kill_tree(recalled, grace=GRACE), PATIENCE).ok:
            return trees
    return [] if len(trees) == 1 else [ended for tree in trees for ended in end([tree])]


def _recall(tree: WatchedTree) -> RecalledTree:
    identity = tree["identity"]
    root = None if identity is None else ProcessIdentity.model_validate(identity)
    return RecalledTree(tree["marker"], root, tree["cgroup"], spare=tree["spare"])


def run(owner: str) -> None:
    """Read messages from the standard input until the owner is dead, and end its trees then."""
    described, ran = json.loads(owner)
    identity = ProcessIdentity.model_validate(described)
    waiter = retry(lambda: ExitWaiter(identity.pid), PATIENCE)
    death, dying = os.pipe()

    def await_death() -> None:
        if waiter.is_of(identity):
            retry(waiter.wait, math.inf)
        os.close(dying)

    def is_replaced() -> bool:
        with contextlib.suppress(OSError):  # it is asked again
            return look_up(identity, ran).presence is Presence.REPLACED
        return False

    threading.Thread(target=await_death, daemon=True).start()
    process = GuardProcess(0)
    process.read_until(death, is_replaced)
    process.end_all()
    tidy_cells()
