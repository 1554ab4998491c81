"""The small process that outlives its owner and ends the trees that it was told of.

Started by :mod:`._guarding`, in a session of its own.
It reads one JSON object a line: a tree, named by its marker, or ``{"forget": MARKER}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._target import Contained

DEAF_TO = ("SIGINT", "SIGHUP", "SIGTERM", "SIGQUIT", "SIGTSTP", "SIGPIPE")
"""What a terminal, or whoever ends the owner, may send."""
GRACE = 0.5
"""Seconds that a tree has to leave once it was asked: its owner is dead, and nobody waits."""
IN_FLIGHT = 0.5
"""Seconds within which a process whose start we were told of must have become its program."""
LOOK = 0.05
"""Seconds between two looks for such a process."""

Tree = dict[str, Any]


class Watchman:
    """What was told by the owner, and what is done when it dies."""

    def __init__(self, ear: int) -> None:
        """Begin with no tree; ``ear`` is where the owner speaks."""
        self.trees: dict[str, Tree] = {}
        self._ear = ear
        self._heard = b""

    def listen_until(self, death: int) -> None:
        """Take in what is said, until this descriptor can be read: the owner is dead.

        Whoever the owner forked may keep our pipe from its end, so that end tells nothing.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(death, selectors.EVENT_READ)
            selector.register(self._ear, selectors.EVENT_READ)
            dead = False
            while True:
                ready = {key.fd for key, _ in selector.select(0 if dead else None)}
                if self._ear in ready:
                    if not self._hear():
                        selector.unregister(self._ear)
                        if not self.trees:
                            return
                elif dead:
                    return
                dead = dead or death in ready

    def _hear(self) -> bool:
        """Take in what was said; tell whether there may be more one day."""
        said = os.read(self._ear, 1 << 16)
        *lines, self._heard = (self._heard + said).split(b"\n")
        for line in lines:
            self._take_in(json.loads(line))
        return bool(said)

    def _take_in(self, message: Tree) -> None:
        """Note one tree, or that there is nothing left to do for it."""
        if "forget" in message:
            self.trees.pop(message["forget"], None)
        else:
            self.trees[message["marker"]] = message

    def end_all(self) -> None:
        """End every tree; who was about to start when the owner died is waited for."""
        in_flight = any(one["identity"] is None for one in self.trees.values())
        until = time.monotonic() + (IN_FLIGHT if in_flight else 0)
        while self.trees:
            ended = _end(list(self.trees.values()))
            if time.monotonic() >= until:
                for one in ended:
                    _forget_records(one)
                return
            time.sleep(LOOK)


def _end(trees: list[Tree]) -> list[Tree]:
    """End trees under one deadline, and return those of which nobody is left."""
    from ._kill import kill_tree  # noqa: PLC0415 - imported by `main` already
    from .errors import TargetRefusedError  # noqa: PLC0415 - as above

    try:
        if kill_tree([recall(one) for one in trees], grace=GRACE).ok:
            return trees
    except TargetRefusedError:  # one of them, and the others must not suffer from it
        if len(trees) == 1:
            return []
    return [] if len(trees) == 1 else [one for tree in trees for one in _end([tree])]


def recall(tree: Tree) -> Contained:
    """Return a tree as a target."""
    from ._containment import Containment  # noqa: PLC0415 - imported by `main` already
    from ._models import ProcessIdentity  # noqa: PLC0415 - imported by `main` already

    told = tree["identity"]
    identity = None if told is None else ProcessIdentity.model_validate(told)
    return Containment.recall(tree["marker"], identity, tree["cgroup"])


def _forget_records(tree: Tree) -> None:
    """Remove the records of a tree, if they are still of this tree."""
    from ._recording import forget  # noqa: PLC0415 - imported by `main` already

    for path in map(Path, tree["records"]):
        with contextlib.suppress(OSError):  # a later recovery finds it
            forget(path, tree["marker"])


def main(owner: str, hello: str) -> None:
    """Watch the owner until it dies, and end its trees then.

    Args:
        owner: its identity, in JSON.
        hello: what to say once we run, before the slow imports.
    """
    for name in DEAF_TO:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    os.write(sys.stdout.fileno(), hello.encode())
    _silence(sys.stdout.fileno())
    watchman = Watchman(sys.stdin.fileno())
    # All of it, now: when the owner is dead its files may be gone as well.
    from . import _containment, _kill, _recording  # noqa: F401, PLC0415 - the hello comes first
    from ._models import ProcessIdentity  # noqa: PLC0415 - as above
    from ._platform import tidy_cells  # noqa: PLC0415 - as above
    from ._vigil import Vigil  # noqa: PLC0415 - as above

    vigil = Vigil(ProcessIdentity.model_validate_json(owner).pid)
    death, word = os.pipe()

    def await_death() -> None:
        if vigil.is_of(ProcessIdentity.model_validate_json(owner)):
            vigil.wait()
        os.close(word)

    threading.Thread(target=await_death, daemon=True).start()
    watchman.listen_until(death)
    watchman.end_all()
    tidy_cells()
    os._exit(0)


def _silence(descriptor: int) -> None:
    """Lead an output to the null device."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
