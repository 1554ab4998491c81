"""Events of sessions, told to foreign code from one thread, which nobody else ever waits for."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable

from ._runners import Runner, in_a_loop_of_its_own
from ._session_models import SessionEvent

Broadcaster = Callable[[SessionEvent], object]

CAPACITY = 1024
"""How many events wait for a slow broadcaster; then the oldest is lost."""

_log = logging.getLogger("proctree_kill")


class EventQueue:
    """Calls a broadcaster with each event, in order, and lets nobody wait for it.

    Attributes:
        runner: where a broadcaster's coroutines run; None gives each a loop of its own.
    """

    def __init__(self, broadcaster: Broadcaster | None) -> None:
        """Begin without a thread."""
        if broadcaster is not None and not callable(broadcaster):
            text = f"event_broadcaster must be callable, not {broadcaster!r}"
            raise TypeError(text)
        self.runner: Runner | None = None
        self._broadcaster = broadcaster
        self._waiting: deque[SessionEvent] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def tell(self, event: SessionEvent) -> None:
        """Queue an event."""
        if self._broadcaster is None:
            return
        with self._changed:
            if len(self._waiting) >= CAPACITY:
                lost = self._waiting.popleft()
                _log.warning(
                    "the broadcaster is too slow: %s was lost",
                    lost.event,
                    extra={"session_id": lost.session_id},
                )
            self._waiting.append(event)
            self._changed.notify_all()
            if self._thread is None:
                self._start()

    def open(self) -> None:
        """Keep the thread from now on, until :meth:`close`."""
        with self._changed:
            self._closed = False

    def close(self) -> None:
        """Let the thread end when everything was told."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until everything was told, so many seconds at most; tell whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._waiting or self._busy), seconds)

    def _start(self) -> None:
        """Start the thread, under the lock; without one the events wait for the next."""
        self._thread = threading.Thread(target=self._run, name="proctree_kill events", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the system has no thread left, or the interpreter is at its exit
            self._thread = None

    def _run(self) -> None:
        """Tell one event after the other."""
        while (event := self._next()) is not None:
            try:
                self._broadcast(event)
            except Exception:  # noqa: BLE001 - foreign code must not break a session
                _log.exception(
                    "the broadcaster raised for %s",
                    event.event,
                    extra={"session_id": event.session_id},
                )

    def _next(self) -> SessionEvent | None:
        """Wait for an event; None once it is closed and everything was told."""
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                self._thread = None
                return None
            self._busy = True
            return self._waiting.popleft()

    def _broadcast(self, event: SessionEvent) -> None:
        """Call the broadcaster, and await what it returns if that is awaitable."""
        if self._broadcaster is None:
            return
        told = self._broadcaster(event)
        if isinstance(told, Awaitable):
            (self.runner or in_a_loop_of_its_own)(told)
