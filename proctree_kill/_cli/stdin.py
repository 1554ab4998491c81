"""Standard input that is passed on to a command, and whose end ends the command's tree."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable

from .._systems import pipe_watcher
from .signals import LONGEST_WAIT

STDIN = 0
READ_AHEAD = 1 << 16  # bytes that are held before the input is read no further
STEP = 1 << 12  # bytes; a page, whose room a pipe gives back once all of it was read
FIRST_LOOK = 0.2  # seconds; the end of `ssh -n` is a packet that follows the command


class InputError(Exception):
    """Standard input cannot keep a command alive."""

    def __init__(self, problem: str) -> None:
        """Say why it cannot."""
        super().__init__(f"standard input {problem}, and --die-with-stdin needs one that goes on")


class InputRelay:
    """Reads standard input and writes it to a pipe, each in a thread.

    The end of the input is seen whether the command reads or not: the relay reads ahead, and where
    that is full it still sees a hang-up. What the command can take no more is dropped.
    Neither thread is waited for: a read from a terminal may never end.
    """

    def __init__(self, linger: float, give_up: Callable[[], object]) -> None:
        """Begin to read.

        Args:
            linger: seconds that the command has to exit after the end of its input, counted anew
                whenever it takes more of that.
            give_up: called in a thread when they are over.

        Raises:
            InputError: there is no input, or no thread for it; nothing is left open.
        """
        stdin: object = sys.__stdin__
        if stdin is None:  # it was closed; by now its number may be that of another file
            closed = "is closed"
            raise InputError(closed)
        self._linger = linger
        self._give_up = give_up
        self._held = bytearray()  # bytes that were read and not yet written
        self._changed = threading.Condition()
        self._begun = threading.Event()  # set at the first byte or the end
        self._ended = False
        self._is_dropped = False
        self._lost = 0  # bytes that the command had not taken when its time was over
        self._error: OSError | None = None
        self._last_taken = 0.0
        self._watcher = pipe_watcher()
        self.reader, self._writer = os.pipe()
        self._start(self._read)
        self._begun.wait(FIRST_LOOK)
        if problem := self._problem():
            self._close()
            raise InputError(problem)
        self._start(self._write)

    @property
    def text(self) -> str:
        """Why the command was ended."""
        lost = f" and did not read the last {self._lost} bytes of it" if self._lost else ""
        return f"standard input ended; the command went on for {self._linger:g} s{lost}"

    def close_reader(self) -> None:
        """Close the end of the pipe that the command has inherited."""
        os.close(self.reader)

    def _start(self, work: Callable[[], object]) -> None:
        try:
            threading.Thread(target=work, name="proctree_kill input", daemon=True).start()
        except RuntimeError as error:
            self._close()
            lack = "needs a thread, and the system has none left"
            raise InputError(lack) from error

    def _close(self) -> None:
        os.close(self.reader)
        os.close(self._writer)
        self._watcher.close()

    def _problem(self) -> str | None:
        with self._changed:
            if self._held or not self._ended:
                return None
            return "cannot be read" if self._error else "is at its end"

    def _read(self) -> None:
        try:
            while self._read_some():
                pass
        except OSError as error:  # a terminal that hung up, a connection that was reset
            self._error = error
        with self._changed:
            self._ended = True
            self._last_taken = time.monotonic()
            self._changed.notify()
        self._begun.set()
        while (left := self._last_taken + self._linger - time.monotonic()) > 0:
            time.sleep(min(left, LONGEST_WAIT))
        self._lost = len(self._held)
        self._give_up()

    def _read_some(self) -> bool:
        """Wait, then read once; return False at the end."""
        is_full = len(self._held) >= READ_AHEAD
        watched: tuple[list[int], list[int]] = ([], [STDIN]) if is_full else ([STDIN], [])
        readable, ended = watched
        if not self._watcher.ready(readable, [], ended):
            return True  # there is room again
        data = b""
        with contextlib.suppress(BlockingIOError):  # another reader of a shared file was faster
            data = os.read(STDIN, READ_AHEAD)
            if not data:
                return False
        with self._changed:
            if not self._is_dropped:
                self._held += data
            self._changed.notify()
        self._begun.set()
        return True

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # the command reads no more: EPIPE, on Windows EINVAL
            while data := self._next():
                written = os.write(self._writer, data)
                with self._changed:
                    del self._held[:written]
                    self._last_taken = time.monotonic()
                self._watcher.wake()
        with self._changed:
            self._is_dropped = True
            self._held.clear()
        self._watcher.wake()
        os.close(self._writer)

    def _next(self) -> bytes:
        """Wait for bytes and return some; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._held or self._ended)
            return bytes(self._held[:STEP])
