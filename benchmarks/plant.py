"""Trees of small sleeping C programs, whose last death can be seen."""

import os
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self, cast

BOUND = 60.0  # seconds; a longer start is a failure


@dataclass(frozen=True)
class Shape:
    """The shape of a tree.

    Attributes:
        count: the number of processes.
        depth: the most levels below the root.
        session: whether the root leads a session.
        reaped: whether a dead root is reaped.
        below_init: whether the tree hangs below init, as a daemon does.
        linger: milliseconds from SIGTERM to the exit.
    """

    count: int
    depth: int = 2
    session: bool = False
    reaped: bool = True
    below_init: bool = False
    linger: int = 0

    @property
    def mode(self) -> str:
        """The letters that ``plant.c`` reads."""
        chosen = {"s": self.session, "z": not self.reaped, "i": self.below_init}
        return "".join(letter for letter, wanted in chosen.items() if wanted) or "-"


class PlantedTree:
    """A tree: on entry all its processes run, after the block none is left."""

    def __init__(self, program: Path, shape: Shape, cgroup: Path | None = None) -> None:
        """Start the program that plants the tree."""
        self._shape = shape
        self._pipe, end = os.pipe()
        numbers = [str(number) for number in (end, shape.count, shape.depth, shape.linger)]
        procs = str(cgroup / "cgroup.procs") if cgroup else "-"
        # in a session of its own: Ctrl-C must reach only us, and we clean up
        self._planter = subprocess.Popen(
            [program, *numbers, shape.mode, procs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[end],
            start_new_session=True,
        )
        os.close(end)
        self.root = 0

    def __enter__(self) -> Self:
        """Wait until each process has written its byte."""
        try:
            self.root = int(cast("IO[bytes]", self._planter.stdout).readline())
            self._wait_for_starts()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End and reap what is left."""
        self._clean_up()

    def death(self, timeout: float) -> float | None:
        """Return when the last process died, on the monotonic clock; None at the timeout."""
        readable, _, _ = select.select([self._pipe], [], [], timeout)
        return time.monotonic() if readable else None

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the last process has died."""
        return self._pipe

    def _wait_for_starts(self) -> None:
        missing = self._shape.count
        while missing:
            readable, _, _ = select.select([self._pipe], [], [], BOUND)
            started = len(os.read(self._pipe, 65536)) if readable else 0
            if started == 0:
                message = f"{missing} of {self._shape.count} processes did not start"
                raise RuntimeError(message)
            missing -= started

    def _clean_up(self) -> None:
        # the end of its input is the order to clean up, the end of the pipe is the proof
        self._planter.communicate()
        os.read(self._pipe, 1)
        os.close(self._pipe)
