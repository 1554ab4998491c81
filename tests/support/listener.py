"""Collects the events of a session manager."""

from __future__ import annotations

import threading

from proctree_kill import SessionEvent

from .times import BOUND


class Listener:
    """Collects the events of a manager, and waits for a given event."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []
        self._arrived = threading.Condition()

    def __call__(self, event: SessionEvent) -> None:
        with self._arrived:
            self.events.append(event)
            self._arrived.notify_all()

    def wait(self, name: str | tuple[str, ...], session_id: str = "a") -> SessionEvent:
        def found() -> SessionEvent | None:
            same = (event for event in self.events if event.session_id == session_id)
            names = (name,) if isinstance(name, str) else name
            return next((event for event in same if event.event.rpartition(".")[2] in names), None)

        with self._arrived:
            event = self._arrived.wait_for(found, BOUND)
        assert event, f"{name} of {session_id} never came: {self.events}"
        return event

    def names(self, session_id: str = "a") -> list[str]:
        same = (event for event in self.events if event.session_id == session_id)
        return [event.event.rpartition(".")[2] for event in same]
