"""Trees of small sleeping C programs, whose last death can be seen."""

import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, cast

if TYPE_CHECKING:
    from collections.abc import Callable

BOUND = 60.0  # seconds; a longer start is a failure
START = 'exec 8<"$0" 9>"$1"; shift; exec "$@"'  # without the two pipes' names in the way


@dataclass(frozen=True)
class Shape:
    """The shape of a tree.

    Attributes:
        count: the number of processes.
        depth: the most levels below the root.
        session: whether the root leads a session.
        reaped: whether a dead root is reaped.
        below_init: whether the tree hangs below init, as a daemon does.
        python: whether each process is a Python interpreter.
        linger: milliseconds from SIGTERM to the exit of a process without children.
    """

    count: int
    depth: int = 2
    session: bool = False
    reaped: bool = True
    below_init: bool = False
    python: bool = False
    linger: int = 0

    @property
    def numbers(self) -> list[str]:
        """Three arguments of ``plant.c``."""
        return [str(number) for number in (self.count, self.depth, self.linger)]

    @property
    def mode(self) -> str:
        """The letters that ``plant.c`` reads."""
        chosen = {
            "s": self.session,
            "z": not self.reaped,
            "i": self.below_init,
            "p": self.python,
        }
        return "".join(letter for letter, wanted in chosen.items() if wanted) or "-"


class Tree:
    """A tree: on entry all its processes run, after the block none is left."""

    def __init__(self, shape: Shape) -> None:
        """Make the pipe that each process holds until it dies."""
        self._shape = shape
        self._pipe, self._report = os.pipe()
        self.root = 0

    def __enter__(self) -> Self:
        """Wait until each process has written its byte."""
        try:
            self.root = self._start()
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

    def _start(self) -> int:
        raise NotImplementedError

    def _end(self) -> None:
        raise NotImplementedError

    def _wait_for_starts(self) -> None:
        missing = self._shape.count
        while missing:
            readable, _, _ = select.select([self._pipe], [], [], BOUND)
            started = len(os.read(self._pipe, 65536)) if readable else 0
            if started == 0:
                message = f"{missing} of {self._shape.count} processes did not start"
                raise RuntimeError(message)
            missing -= started
            self._close_report()

    def _close_report(self) -> None:
        if self._report >= 0:
            os.close(self._report)
            self._report = -1

    def _clean_up(self) -> None:
        self._close_report()
        self._end()
        # the end of the pipe is the proof
        os.read(self._pipe, 65536)
        os.close(self._pipe)


class PlantedTree(Tree):
    """A tree below a program that reaps its orphans; the killer is a stranger to it."""

    def __init__(self, program: Path, shape: Shape, cgroup: Path | None = None) -> None:
        """Start the program that plants the tree."""
        super().__init__(shape)
        procs = str(cgroup / "cgroup.procs") if cgroup else "-"
        # in a session of its own: Ctrl-C must reach only us, and we clean up
        self._planter = subprocess.Popen(
            [program, str(self._report), *shape.numbers, shape.mode, procs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self._report],
            start_new_session=True,
            env={**os.environ, "PLANT_PYTHON": sys.executable},
        )

    def _start(self) -> int:
        self._close_report()
        return int(cast("IO[bytes]", self._planter.stdout).readline())

    def _end(self) -> None:
        # the end of its input is the order to clean up
        self._planter.communicate()


class OwnTree(Tree):
    """A tree that the killer starts itself, in a session of its own.

    The killer may pass no descriptors on, so the root opens both pipes by name.
    """

    def __init__(self, program: Path, shape: Shape, start: "Callable[[list[str]], int]") -> None:
        """Make the second pipe: all processes exit at its end."""
        super().__init__(shape)
        self._begin = start
        stop, self._stop = os.pipe()
        self._stop_reader = stop
        names = [f"/proc/{os.getpid()}/fd/{end}" for end in (stop, self._report)]
        plant = [str(program), "9", *shape.numbers, shape.mode, "-", "8"]
        self._argv = ["/bin/sh", "-c", START, *names, *plant]

    def _start(self) -> int:
        return self._begin(self._argv)

    def _end(self) -> None:
        os.close(self._stop)
        os.close(self._stop_reader)
