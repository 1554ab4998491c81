"""The input and the output of one command, through its pipes."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import threading
import time
from collections.abc import Callable
from typing import IO, Any, Self

from .._systems import pipe_watcher

LONGEST_WAIT = 86400.0  # seconds of one wait; the limits of the systems are higher
PIECE = 1 << 16  # bytes that are read at once


class Transfer:
    """Writes the input of a command and reads its output, in a thread.

    The thread starts before the command: a later one would take a number after the root's, as a
    child does (``System.is_youngest``).

    Attributes:
        over: whether all pipes have come to their end.
        last_byte: when a byte was read last since :meth:`catch_up`, on the monotonic clock.
        note_byte: called with that time, in the thread; to be set before :meth:`begin`.
    """

    def __init__(self, *, needed: bool) -> None:
        """Prepare the thread; none is needed for a command without pipes."""
        self.over = not needed
        self.last_byte: float | None = None
        self.note_byte: Callable[[float], object] | None = None
        self._needed = needed
        self._begun = threading.Event()  # set once there is a root, or there will be none
        self._stirred = threading.Event()  # set at the end, and by a wake
        self._stopped = False
        self._changing = threading.Lock()
        self._requests: list[threading.Event] = []
        self._error: BaseException | None = None
        self._pipes: tuple[IO[Any] | None, ...] = (None, None)
        self._output: dict[int, list[bytes]] = {}
        self._open: list[int] = []
        self._stdin: IO[Any] | None = None
        self._input = memoryview(b"")

    def __enter__(self) -> Self:
        if self._needed:
            self._watcher = pipe_watcher()
            self._thread = threading.Thread(target=self._run, name="proctree_kill pipes")
            try:
                self._thread.start()
            except BaseException:
                self._watcher.close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._needed:
            self.stop()
            self._watcher.close()

    def begin(self, process: subprocess.Popen[Any], data: Any) -> None:  # noqa: ANN401 - as it was given
        """Begin with a process that has just started.

        Args:
            process: a ``Popen``; its standard input is closed here, when all is written.
            data: the input, text where its pipes are text.

        Raises:
            TypeError, AttributeError: the input is not of the type of the pipe.
        """
        if not self._needed:
            return
        stdin = process.stdin
        if isinstance(data, str) and isinstance(stdin, io.TextIOWrapper):
            text = data.replace("\n", os.linesep)
            data = text.encode(stdin.encoding, stdin.errors or "strict")
        self._input = memoryview(data or b"").cast("B")
        self._pipes = (process.stdout, process.stderr)
        for pipe in filter(None, self._pipes):
            self._output[pipe.fileno()] = []
        self._open = list(self._output)
        # Now it is the thread's: a file that is being written must not be closed by another one.
        self._stdin, process.stdin = stdin, None
        self._begun.set()

    @property
    def files(self) -> set[tuple[int, int]]:
        """The pipes of the output that are open, each a device and an inode."""
        found = [os.fstat(fd) for fd in list(self._open)]
        return {(file.st_dev, file.st_ino) for file in found}

    def catch_up(self) -> None:
        """Have all read that the pipes hold now; what comes later sets :attr:`last_byte`."""
        request = threading.Event()
        with self._changing:
            if self.over or not self._begun.is_set():
                return
            self._requests.append(request)
        self._watcher.wake()
        request.wait()

    def wait(self, until: Callable[[], float]) -> bool:
        """Wait for the end of all pipes.

        Args:
            until: returns when to give up, on the monotonic clock; it is asked again at that time.

        Returns:
            Whether they have come to their end: False after that time or after :meth:`wake`.
        """
        while not self.over:
            left = until() - time.monotonic()
            if left <= 0 or self._stirred.wait(min(left, LONGEST_WAIT)):
                break
        return self.over

    def wake(self) -> None:
        """End :meth:`wait`, now or as soon as it begins; callable from any thread."""
        self._stirred.set()

    def finish(self) -> tuple[bytes | None, bytes | None]:
        """Read what the pipes hold, stop, and return both outputs; None where there is no pipe."""
        self.catch_up()
        self.stop()
        if self._error is not None:
            raise self._error
        out, err = map(self._whole, self._pipes)
        return out, err

    def _whole(self, pipe: IO[Any] | None) -> bytes | None:
        return None if pipe is None else b"".join(self._output[pipe.fileno()])

    def stop(self) -> None:
        """End the thread, as it is."""
        if self._needed:
            self._stopped = True
            self._begun.set()
            self._watcher.wake()
            self._thread.join()

    def _run(self) -> None:
        self._begun.wait()
        try:
            self._begin_input()
            while (self._open or self._input) and not self._stopped:
                self._turn()
        except BaseException as error:  # noqa: BLE001 - finish() raises it
            self._error = error
        finally:
            with self._changing:
                self.over = True
                requests, self._requests = self._requests, []
            self._answer(requests)
            self._close_input(self._stdin)
            self._stirred.set()

    def _turn(self) -> None:
        """Wait once, then read and write what is ready."""
        stdin = self._stdin
        writable = [stdin.fileno()] if stdin and self._input else []
        ready = self._watcher.ready(self._open, writable)
        with self._changing:
            requests, self._requests = self._requests, []
        if requests:
            for fd in list(self._open):
                self._read_held(fd)
            self._answer(requests)
            return
        for fd in ready:
            if fd in writable:
                self._write(fd)
            else:
                self._read(fd, PIECE)

    def _answer(self, requests: list[threading.Event]) -> None:
        for request in requests:
            self.last_byte = None
            request.set()

    def _read_held(self, fd: int) -> None:
        """Read what a pipe holds now, and no more: its writer may never end."""
        held = self._watcher.held(fd)
        while held > 0 and (count := self._read(fd, min(held, PIECE))):
            held -= count

    def _read(self, fd: int, size: int) -> int:
        data = os.read(fd, size)
        if data:
            self._output[fd].append(data)
            self.last_byte = time.monotonic()
            if self.note_byte is not None:
                self.note_byte(self.last_byte)
        else:
            self._open.remove(fd)
        return len(data)

    def _begin_input(self) -> None:
        if self._stdin is None:
            self._input = memoryview(b"")
        elif not self._input:
            self._close_input(self._stdin)
        elif self._watcher.writes_block:
            stdin, data = self._stdin, self._input
            self._stdin, self._input = None, memoryview(b"")
            write = threading.Thread(target=self._write_all, args=(stdin, data), daemon=True)
            write.start()

    def _write(self, fd: int) -> None:
        try:
            self._input = self._input[self._watcher.write(fd, self._input) :]
        except OSError:  # the command reads no more: EPIPE, on Windows EINVAL too
            self._input = memoryview(b"")
        if not self._input:
            self._close_input(self._stdin)

    def _write_all(self, stdin: IO[Any], data: memoryview) -> None:
        with contextlib.suppress(OSError):  # as above
            while data:
                data = data[self._watcher.write(stdin.fileno(), data) :]
        self._close_input(stdin)

    def _close_input(self, stdin: IO[Any] | None) -> None:
        if stdin is not None:
            with contextlib.suppress(OSError):
                stdin.close()


def decoded(output: bytes | None, pipe: IO[Any] | None) -> str | bytes | None:
    """Return an output as it would have been read from the pipe: bytes, or text."""
    if output is None or not isinstance(pipe, io.TextIOWrapper):
        return output
    text = output.decode(pipe.encoding, pipe.errors or "strict")
    return text.replace("\r\n", "\n").replace("\r", "\n")
