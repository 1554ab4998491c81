"""A line below the cursor that changes while the program waits."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Self, TextIO

from .._models.text import can_write
from .._systems import is_in_front
from .streams import width_of

FIRST_TIME, TIME = 0.25, 0.1  # seconds until it appears, and between two changes by default
# The cursor stays where it was: processes that share the terminal write there, and Ctrl-C shows.
# Down and up again, so that there is a line below (the last one of a screen has none).
DRAW = "\x1b[K\x1bD\x1b[A\x1b7\r\n{}\x1b[K\x1b8"
ERASE = DRAW.format("")


class LiveLine:
    """Draws in a thread of its own, from :meth:`start` to the end of the block.

    Attributes:
        shown: what stands there.
    """

    def __init__(
        self, stream: TextIO, texts: Callable[[], Sequence[str]], every: float = TIME
    ) -> None:
        """Draw nothing yet.

        Args:
            stream: a terminal.
            texts: returns what is to be shown, the longest form first.
            every: seconds between two changes.
        """
        self._every = every
        self._stream = stream
        self._texts = texts
        self.shown = ""
        self._starting = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proctree_kill line", daemon=True)

    def start(self) -> None:
        """Draw from now on, if that was not begun."""
        with self._starting, contextlib.suppress(RuntimeError):  # the system has no thread left
            if self._thread.ident is None and not self._over.is_set():
                self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # a hang-up; a closed stream
            seconds = FIRST_TIME
            while not self._over.wait(seconds):
                if (text := self._fitting()) != self.shown and is_in_front(self._stream.fileno()):
                    self._draw(text)
                seconds = self._every
            if self.shown:
                self._draw("")

    def _fitting(self) -> str:
        room = (width_of(self._stream) or 80) - 1
        text = next((text for text in self._texts() if len(text) <= room), "")
        return text if can_write(self._stream, text) else text.replace("·", "-")

    def _draw(self, text: str) -> None:
        self.shown = text
        print(DRAW.format(text), end="", file=self._stream, flush=True)
