"""What every browser hears: server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

CAPACITY = 1000
"""How many messages wait for a slow browser; then it is let go, and comes back for the whole."""
RETRY = 500
"""Milliseconds after which a browser comes back."""


class Feed:
    """Tells every browser the same."""

    def __init__(self) -> None:
        """Begin without a browser."""
        self._queues: set[asyncio.Queue[str | None]] = set()
        self._closed = False

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._queues)

    def tell(self, name: str, data: object) -> None:
        """Tell an event to everybody who listens now."""
        text = _message(name, data)
        for one in tuple(self._queues):
            if one.qsize() < CAPACITY:
                one.put_nowait(text)
            else:
                self._queues.discard(one)
                one.put_nowait(None)

    def close(self) -> None:
        """Let everybody go: a server does not end before its answers do."""
        self._closed = True
        for one in self._queues:
            one.put_nowait(None)

    async def listen(self, first: Callable[[], list[tuple[str, object]]]) -> AsyncIterator[str]:
        """Yield the text of a stream for one browser.

        Args:
            first: returns the names and data of what it must know before everything else;
                asked when the browser is on the list already, so that it misses nothing.

        Yields:
            Messages, as the HTML standard has them.
        """
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield f"retry: {RETRY}\n\n"
            for name, data in first():
                yield _message(name, data)
            while not self._closed and (text := await queue.get()) is not None:
                yield text
        finally:
            self._queues.discard(queue)


def _message(name: str, data: object) -> str:
    """Write a message; JSON has no line breaks of its own."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
