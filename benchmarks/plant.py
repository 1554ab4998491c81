"""Plants trees of small sleeping C programs, tells when the last one died, and clears them away."""

import os
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, cast

if TYPE_CHECKING:
    from types import TracebackType

PATIENCE = 60.0


@dataclass(frozen=True)
class Shape:
    """What a tree looks like: so many processes, at most so many levels below the root.

    Attributes:
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
        """Return the letters that ``plant.c`` reads."""
        chosen = {"s": self.session, "z": not self.reaped, "i": self.below_init}
        return "".join(letter for letter, wanted in chosen.items() if wanted) or "-"


class Plot:
    """A planted tree: everybody is alive on entry, and nobody is left on exit."""

    def __init__(self, program: Path, shape: Shape, cgroup: Path | None = None) -> None:
        """Start the keeper, which plants the tree; entering waits until everybody is there."""
        self._shape = shape
        self._pulse, end = os.pipe()
        numbers = [str(number) for number in (end, shape.count, shape.depth, shape.linger)]
        procs = str(cgroup / "cgroup.procs") if cgroup else "-"
        # A session of its own, so that Ctrl-C reaches only us, who clear away in order.
        self._keeper = subprocess.Popen(
            [program, *numbers, shape.mode, procs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[end],
            start_new_session=True,
        )
        os.close(end)
        self.root = 0

    def __enter__(self) -> Self:
        """Wait until every process has written its byte."""
        try:
            self.root = int(cast("IO[bytes]", self._keeper.stdout).readline())
            self._count_births()
        except BaseException:
            self._clear_away()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        """Have the keeper end and reap what is left."""
        self._clear_away()

    def death(self, timeout: float) -> float | None:
        """Return when the last process died, by the monotonic clock; None if one outlives it."""
        readable, _, _ = select.select([self._pulse], [], [], timeout)
        return time.monotonic() if readable else None

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the last process has died."""
        return self._pulse

    def _count_births(self) -> None:
        missing = self._shape.count
        while missing:
            readable, _, _ = select.select([self._pulse], [], [], PATIENCE)
            born = len(os.read(self._pulse, 65536)) if readable else 0
            if born == 0:
                message = f"{missing} of {self._shape.count} processes were never born"
                raise RuntimeError(message)
            missing -= born

    def _clear_away(self) -> None:
        # The end of its input is the keeper's order, the end of the pulse the proof.
        self._keeper.communicate()
        os.read(self._pulse, 1)
        os.close(self._pulse)
