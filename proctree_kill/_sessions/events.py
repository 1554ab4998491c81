"""The events of sessions, sent to the user's code from one thread; no other thread waits for it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from queue import SimpleQueue

from .._running.loops import LoopCaller, run_in_new_loop
from .._running.threads import SIGNALS, blocked_signals, blocking
from .models import SessionEvent

Broadcaster = Callable[[SessionEvent], object]

CAPACITY = 1024  # events that wait for a slow broadcaster; then the oldest is dropped

_log = logging.getLogger("proctree_kill")


class EventQueue:
    """Calls a broadcaster with each event, in order, from a thread of its own.

    No method takes a lock: a signal handler may call any of them while it interrupts another.

    Attributes:
        loop: the event loop that runs the broadcaster's coroutines; None runs each in a new loop.
    """

    def __init__(self, broadcaster: Broadcaster | None) -> None:
        """Check the broadcaster; the first event starts the thread."""
        if broadcaster is not None and not callable(broadcaster):
            text = f"event_broadcaster must be callable, not {broadcaster!r}"
            raise TypeError(text)
        self.loop: LoopCaller | None = None
        self._broadcaster = broadcaster
        self._waiting: deque[SessionEvent] = deque()
        self._wakes: SimpleQueue[threading.Event | None] = SimpleQueue()  # reentrant
        self._sending = threading.Lock()  # held by the thread that sends; no thread waits for it
        self._closed = False
        # Not those of the thread that starts this one, which may be ours.
        self._blocked = blocked_signals()

    def send(self, event: SessionEvent) -> None:
        """Queue an event."""
        if self._broadcaster is None:
            return
        self._waiting.append(event)
        if len(self._waiting) <= CAPACITY:
            self._wakes.put(None)
        else:
            self._drop_oldest()
        self._start()

    def open(self) -> None:
        """Keep the thread from now on, until :meth:`close`."""
        self._closed = False

    def close(self) -> None:
        """Let the thread end when all events were sent."""
        self._closed = True
        self._wakes.put(None)

    def flush(self, seconds: float) -> bool:
        """Wait until all events were sent, at most this long; return whether they were."""
        if self._broadcaster is None:
            return True
        flushed = threading.Event()
        self._wakes.put(flushed)
        self._start()
        return flushed.wait(seconds)

    def _drop_oldest(self) -> None:
        # The newest event gets no wake of its own: it takes over that of the dropped one.
        with contextlib.suppress(IndexError):  # all were sent meanwhile
            lost = self._waiting.popleft()
            _log.warning(
                "the broadcaster is too slow: %s was lost",
                lost.event,
                extra={"session_id": lost.session_id},
            )

    def _start(self) -> None:
        if not self._sending.locked():
            thread = threading.Thread(target=self._run, name="proctree_kill events", daemon=True)
            # No thread is left, or the interpreter exits: the events wait for the next start.
            with contextlib.suppress(RuntimeError), blocking(SIGNALS):
                thread.start()

    def _run(self) -> None:
        # Checked again after the release: an event that came before it has started no thread.
        while not self._is_over() and self._sending.acquire(blocking=False):
            try:
                while not self._is_over():
                    flushed = self._wakes.get()
                    if flushed is not None:
                        flushed.set()
                    elif self._waiting:
                        with blocking(self._blocked):
                            self._broadcast(self._waiting.popleft())
            finally:
                self._sending.release()

    def _is_over(self) -> bool:
        return self._closed and self._wakes.empty()

    def _broadcast(self, event: SessionEvent) -> None:
        assert self._broadcaster is not None  # noqa: S101 - else there are no events
        try:
            returned = self._broadcaster(event)
            if isinstance(returned, Awaitable):
                run_in_new_loop(returned) if self.loop is None else self.loop(returned).run()
        except BaseException:  # noqa: BLE001 - the next event is sent whatever this call raised
            _log.exception(
                "the broadcaster raised for %s",
                event.event,
                extra={"session_id": event.session_id},
            )
