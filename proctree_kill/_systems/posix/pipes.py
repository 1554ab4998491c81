"""Waiting for pipes with poll(2)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

assert sys.platform != "win32" or not TYPE_CHECKING  # what follows is not for Windows

import fcntl
import select
import termios

_SIZE_OF_INT = 4  # bytes
_RDHUP = getattr(select, "POLLRDHUP", 0)  # Linux: the other end of a socket writes no more


class PosixPipeWatcher:
    """Waits for pipes; another pipe wakes it."""

    writes_block = False

    def __init__(self) -> None:
        """Open the pipe that wakes."""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def ready(
        self, readable: Sequence[int], writable: Sequence[int], ended: Sequence[int] = ()
    ) -> Collection[int]:
        """Wait in poll(2)."""
        poll = select.poll()
        for fd in (self._reader, *readable):
            poll.register(fd, select.POLLIN | select.POLLPRI)
        for fd in writable:
            poll.register(fd, select.POLLOUT)
        for fd in ended:
            poll.register(fd, _RDHUP)  # POLLHUP always counts
        ready = [fd for fd, _ in poll.poll()]
        if self._reader in ready:
            ready.remove(self._reader)
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 4096)
        return ready

    def held(self, fd: int) -> int:
        """Ask by FIONREAD (ioctl_pipe(2), and tty(4) on BSD)."""
        return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(_SIZE_OF_INT)), sys.byteorder)

    def write(self, fd: int, data: memoryview) -> int:
        """Write no more than a pipe that is ready takes at once (PIPE_BUF, pipe(7))."""
        return os.write(fd, data[: select.PIPE_BUF])

    def wake(self) -> None:
        """Write to the pipe."""
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._writer, b"!")

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._reader)
        os.close(self._writer)
