"""The messages of the console to the agent: lines on its standard input."""

from __future__ import annotations

import asyncio
import os
import threading

STDIN = 0
CHUNK = 65536


class Inbox:
    """Reads lines beside the event loop."""

    def __init__(self) -> None:
        """Begin to read in a thread that ends with the process."""
        self.closed = asyncio.Event()
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, daemon=True).start()

    async def line(self) -> bytes:
        """Wait for the next line, without a limit."""
        return await self._lines.get()

    def _read(self) -> None:
        # not by sys.stdin: its lock would block the exit
        rest = b""
        while chunk := os.read(STDIN, CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
        self._loop.call_soon_threadsafe(self.closed.set)
