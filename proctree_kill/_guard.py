"""The small process that outlives its owner and ends the trees that it was told of.

Started by :mod:`._containment.guard`, in a session of its own.
It reads one JSON object a line: a tree, named by its marker, or ``{"forget": MARKER}``.
"""

from __future__ import annotations

import contextlib
import ctypes
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
    from ._engine.target import Contained

HEARD = ("SIGKILL", "SIGSTOP", "SIGCHLD")
"""Signals that are not ignored: the first two cannot be, the third ends nothing."""
PR_SET_PDEATHSIG = 1
"""prctl(2): it is sent when the thread that is our parent ends, and each that follows it."""
GRACE = 0.5
"""Seconds that a tree has to leave once it was asked: its owner is dead, and nobody waits."""
IN_FLIGHT = 0.5
"""Seconds within which a process whose start we were told of must have become its program."""
LOOK = 0.05
"""Seconds between two looks for such a process."""

Tree = dict[str, Any]


class GuardProcess:
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
            self._take_in(line)
        return bool(said)

    def _take_in(self, line: bytes) -> None:
        """Note one tree, or that there is nothing left to do for it; ignore anything else."""
        try:
            message = json.loads(line)
        except ValueError:  # a fork of the owner has the pipe as well, and may write into it
            return
        match message:
            case {"forget": str(marker)}:
                self.trees.pop(marker, None)
            case {"marker": str(marker), "cgroup": _, "identity": _, "records": list()}:
                self.trees[marker] = message
            case _:
                pass

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
    """End trees under one deadline, and return those of which no member is left."""
    from ._engine.kill import kill_tree  # noqa: PLC0415 - imported by `main` already

    try:
        if kill_tree([recall(tree) for tree in trees], grace=GRACE).ok:
            return trees
    except Exception:  # noqa: BLE001 - one tree cannot be ended, and the others must be
        if len(trees) == 1:
            return []
    return [] if len(trees) == 1 else [one for tree in trees for one in _end([tree])]


def recall(tree: Tree) -> Contained:
    """Return a tree as a target."""
    from ._containment.containment import Containment  # noqa: PLC0415 - imported by `main` already
    from ._models.identity import ProcessIdentity  # noqa: PLC0415 - imported by `main` already

    told = tree["identity"]
    identity = None if told is None else ProcessIdentity.model_validate(told)
    return Containment.recall(tree["marker"], identity, tree["cgroup"])


def _forget_records(tree: Tree) -> None:
    """Remove the records of a tree, if they are still of this tree."""
    from ._records.recording import forget  # noqa: PLC0415 - imported by `main` already

    for path in map(Path, tree["records"]):
        with contextlib.suppress(OSError):  # a later recovery finds it
            forget(path, tree["marker"])


def main(owner: str, hello: str) -> None:
    """Watch the owner until it dies, and end its trees then.

    Args:
        owner: its identity, in JSON.
        hello: what to say once we run, before the slow imports.
    """
    for number in signal.valid_signals():
        if number not in {getattr(signal, name) for name in HEARD}:
            signal.signal(number, signal.SIG_IGN)
    _continue_at_owners_death()
    os.write(sys.stdout.fileno(), hello.encode())
    _silence(sys.stdout.fileno())
    watchman = GuardProcess(sys.stdin.fileno())
    # All of it, now: when the owner is dead its files may be gone as well.
    from ._containment import containment  # noqa: F401, PLC0415 - the hello comes first
    from ._engine import kill  # noqa: F401, PLC0415 - the hello comes first
    from ._engine.process import ExitWaiter  # noqa: PLC0415 - as above
    from ._models.identity import ProcessIdentity  # noqa: PLC0415 - as above
    from ._records import recording  # noqa: F401, PLC0415 - the hello comes first
    from ._systems import tidy_cells  # noqa: PLC0415 - as above

    waiter = ExitWaiter(ProcessIdentity.model_validate_json(owner).pid)
    death, word = os.pipe()

    def await_death() -> None:
        if waiter.is_of(ProcessIdentity.model_validate_json(owner)):
            waiter.wait()
        os.close(word)

    threading.Thread(target=await_death, daemon=True).start()
    watchman.listen_until(death)
    watchman.end_all()
    tidy_cells()
    os._exit(0)


def _continue_at_owners_death() -> None:
    """Have this process continued then, if it is stopped; only Linux can."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, signal.Signals["SIGCONT"], 0, 0, 0)


def _silence(descriptor: int) -> None:
    """Lead an output to the null device."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
