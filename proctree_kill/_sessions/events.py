"""Events of sessions, told to foreign code from one thread for which no other ever waits."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from queue import SimpleQueue

from .._running.loops import Runner, run_in_new_loop
from .models import SessionEvent

Broadcaster = Callable[[SessionEvent], object]

CAPACITY = 1024
"""How many events wait for a slow broadcaster; then the oldest is lost."""

_log = logging.getLogger("proctree_kill")


class EventQueue:
    """Calls a broadcaster with each event, in order, while no other thread waits for it.

    No method holds a lock: a signal handler may call each while its thread is inside another.

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
        self._wakes: SimpleQueue[threading.Event | None] = SimpleQueue()  # reentrant
        self._telling = threading.Lock()  # held by the thread that tells, waited for by none
        self._closed = False

    def tell(self, event: SessionEvent) -> None:
        """Queue an event."""
        if self._broadcaster is None:
            return
        self._waiting.append(event)
        if len(self._waiting) <= CAPACITY:
            self._wakes.put(None)
        else:
            self._lose()
        self._start()

    def open(self) -> None:
        """Keep the thread from now on, until :meth:`close`."""
        self._closed = False

    def close(self) -> None:
        """Let the thread end when everything was told."""
        self._closed = True
        self._wakes.put(None)

    def flush(self, seconds: float) -> bool:
        """Wait until everything was told, so many seconds at most; return whether it was."""
        if self._broadcaster is None:
            return True
        told = threading.Event()
        self._wakes.put(told)
        self._start()
        return told.wait(seconds)

    def _lose(self) -> None:
        """Drop the oldest event; the newest takes over what would have had it told."""
        with contextlib.suppress(IndexError):  # all were told meanwhile
            lost = self._waiting.popleft()
            _log.warning(
                "the broadcaster is too slow: %s was lost",
                lost.event,
                extra={"session_id": lost.session_id},
            )

    def _start(self) -> None:
        """Start the thread, unless it runs; where none can be started the events wait."""
        if not self._telling.locked():
            thread = threading.Thread(target=self._run, name="proctree_kill events", daemon=True)
            with contextlib.suppress(RuntimeError):  # no thread is left, or the interpreter exits
                thread.start()

    def _run(self) -> None:
        """Tell one event after the other, unless another thread does."""
        while not self._is_over() and self._telling.acquire(blocking=False):
            try:
                while not self._is_over():
                    told = self._wakes.get()
                    if told is not None:
                        told.set()
                    elif self._waiting:
                        self._broadcast(self._waiting.popleft())
            finally:
                self._telling.release()

    def _is_over(self) -> bool:
        """Whether everything was told, and no more will be."""
        return self._closed and self._wakes.empty()

    def _broadcast(self, event: SessionEvent) -> None:
        """Call the broadcaster, and await what it returns if that is awaitable."""
        assert self._broadcaster is not None  # noqa: S101 - else there are no events
        try:
            told = self._broadcaster(event)
            if isinstance(told, Awaitable):
                (self.runner or run_in_new_loop)(told)
        except BaseException:  # noqa: BLE001 - the next event is told whatever foreign code raises
            _log.exception(
                "the broadcaster raised for %s",
                event.event,
                extra={"session_id": event.session_id},
            )
