"""Waiting for anonymous pipes, which Windows offers no wait for."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Collection, Sequence
from typing import Any

POLL = 0.01  # seconds between two looks at quiet pipes


class WindowsPipeWatcher:
    """Looks again and again whether there is something to read (PeekNamedPipe).

    A read that blocks could not be ended, and its pipe could not be closed, while a process that
    was left or spared holds the other end.
    https://learn.microsoft.com/windows/win32/api/namedpipeapi/nf-namedpipeapi-peeknamedpipe
    """

    writes_block = True

    def __init__(self) -> None:
        """Begin without a pipe."""
        self._woken = threading.Event()
        self._winapi: Any = importlib.import_module("_winapi")
        self._msvcrt: Any = importlib.import_module("msvcrt")

    def ready(
        self,
        readable: Sequence[int],
        writable: Sequence[int],  # noqa: ARG002 - a write blocks
        ended: Sequence[int] = (),  # noqa: ARG002 - PeekNamedPipe shows no end before the last byte
    ) -> Collection[int]:
        """Look until one of these has something to read or has come to its end."""
        while not self._woken.is_set():
            if ready := [fd for fd in readable if self._peek(fd) != 0]:
                return ready
            self._woken.wait(POLL)
        self._woken.clear()
        return []

    def held(self, fd: int) -> int:
        """Peek."""
        return self._peek(fd) or 0

    def write(self, fd: int, data: memoryview) -> int:
        """Write all of it."""
        return os.write(fd, data[: 1 << 16])

    def wake(self) -> None:
        """Let the look end."""
        self._woken.set()

    def close(self) -> None:
        """Close nothing."""

    def _peek(self, fd: int) -> int | None:
        """Return how many bytes can be read; None at the end."""
        try:
            handle = self._msvcrt.get_osfhandle(fd)
            available: int = self._winapi.PeekNamedPipe(handle, 0)[0]
        except OSError:  # ERROR_BROKEN_PIPE: a read returns nothing
            return None
        return available
