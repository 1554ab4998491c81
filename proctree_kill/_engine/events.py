"""Telling a listener what happens, when it is safe to call foreign code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from .._models.result import KillEvent
from .._systems.member import ALIVE, Member, identity_of
from .plan import Escalation
from .steps import Ask, Facts, Freeze, Kill, KillCells, Step

Listener = Callable[[KillEvent], object]
Kind = Literal["asked", "escalated", "found", "gone", "settled"]

_log = logging.getLogger("proctree_kill")


class EventSender:
    """Turns steps and facts into events; holds them back while somebody is frozen."""

    def __init__(
        self,
        listener: Listener | None,
        escalation: Escalation,
        interrupt: Callable[[BaseException], object],
    ) -> None:
        """Begin with the living members of the escalation.

        Args:
            listener: what is told.
            escalation: which members there are.
            interrupt: takes what the listener raises to end the program, a task or a thread.
        """
        self._listener = listener
        self._interrupt = interrupt
        self._escalation = escalation
        self._remaining = len(escalation.living)
        self._escalated = False
        self._queue: list[KillEvent] = []

    def before(self, step: Step) -> None:
        """Announce the force, while nobody is frozen yet."""
        if isinstance(step, KillCells | Freeze | Kill) and not self._escalated:
            self._escalated = True
            self._note("escalated", self._escalation.now)
            self._flush()

    def after(self, step: Step, facts: Facts, *, frozen: bool) -> None:
        """Tell what a step brought, at once unless somebody is frozen and not killed yet."""
        if self._listener is None:
            return
        if isinstance(step, Ask):
            self._note("asked", facts.now)
        for one in facts.appeared:
            if one.spared is None and one.state == ALIVE:
                self._remaining += 1
            self._note("found", facts.now, one)
        for one in facts.gone:
            if one in self._escalation.living:
                self._remaining -= 1
                self._note("gone", facts.now, one)
        if not frozen:
            self._flush()

    def settled(self, now: float) -> None:
        """Tell that the call is over."""
        self._note("settled", now)
        self._flush()

    def _note(self, kind: Kind, now: float, one: Member | None = None) -> None:
        """Queue an event."""
        if self._listener is not None:
            identity = None if one is None else identity_of(one)
            seconds = now - self._escalation.start
            self._queue.append(
                KillEvent(kind=kind, seconds=seconds, identity=identity, remaining=self._remaining)
            )

    def _flush(self) -> None:
        """Call the listener; one that raises is not called again."""
        queue, self._queue = self._queue, []
        for event in queue:
            if self._listener is None:
                return
            try:
                self._listener(event)
            except Exception:  # noqa: BLE001 - foreign code must not break a kill
                self._listener = None
                _log.exception("on_event raised and is not called again")
            except BaseException as error:  # noqa: BLE001 - raised when the tree has ended
                self._listener = None
                self._interrupt(error)
