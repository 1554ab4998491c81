"""The events for the browsers (server-sent events)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

CAPACITY = 1000  # messages that wait for a slow browser; then it must connect anew
RETRY = 500  # milliseconds after which a browser connects anew
BEAT = 2.0  # seconds of silence after which a browser is told that the server is there


class Feed:
    """Sends the same events to all browsers."""

    def __init__(self) -> None:
        """Begin without a browser."""
        self._queues: set[asyncio.Queue[str | None]] = set()
        self._closed = False

    def send(self, name: str, data: object) -> None:
        """Send an event to all connected browsers."""
        text = _message(name, data)
        for queue in tuple(self._queues):
            if queue.qsize() < CAPACITY:
                queue.put_nowait(text)
            else:
                self._queues.discard(queue)
                queue.put_nowait(None)

    def close(self) -> None:
        """End all streams: a server does not end before its answers do."""
        self._closed = True
        for queue in self._queues:
            queue.put_nowait(None)

    async def stream(self, first: Callable[[], list[tuple[str, object]]]) -> AsyncIterator[str]:
        """Yield the text of a stream for one browser.

        Args:
            first: returns the names and data of the first events. It is called when the browser
                is on the list already, so that no event is missed.

        Yields:
            Messages in the format of the HTML standard.
        """
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield f"retry: {RETRY}\n\n"
            for name, data in first():
                yield _message(name, data)
            text: str | None = _message("beat", None)  # the browser has all there is
            while text is not None:
                yield text
                text = None if self._closed else await _next(queue)
        finally:
            self._queues.discard(queue)


async def _next(queue: asyncio.Queue[str | None]) -> str | None:
    try:
        return await asyncio.wait_for(queue.get(), BEAT)
    except TimeoutError:
        return _message("beat", None)


def _message(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"  # no line breaks in this JSON
