"""Sending events to a listener when it is safe to call foreign code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar

from .._models.result import EventKind, KillEvent
from .._systems.member import ALIVE, Member, identity_of
from .plan import Escalation
from .steps import Ask, Facts, Freeze, Kill, KillCells, Step

Listener = Callable[[KillEvent], object]

LISTENER: ContextVar[Listener | None] = ContextVar("proctree_kill_listener", default=None)
"""The listener of the kills that are given none; works take it into their threads."""

_log = logging.getLogger("proctree_kill")


class EventSender:
    """Turns steps and facts into events; holds them back while a process is frozen.

    The listener could wait for such a process, which could not answer.
    """

    def __init__(
        self,
        listener: Listener | None,
        escalation: Escalation,
        interrupt: Callable[[BaseException], object],
    ) -> None:
        """Begin with the living members of the escalation.

        Args:
            listener: called with each event.
            escalation: its members are counted.
            interrupt: takes what the listener raises to end the program, a task or a thread.
        """
        self._listener = listener
        self._interrupt = interrupt
        self._escalation = escalation
        self._remaining = len(escalation.living)
        self._escalated = False
        self._asked: str | None = None  # the signal of the request that was announced last
        self._queue: list[KillEvent] = []

    def before(self, step: Step) -> None:
        """Announce the force, before a process is frozen."""
        if isinstance(step, KillCells | Freeze | Kill) and not self._escalated:
            self._escalated = True
            self._note("escalated", self._escalation.now)
            self._flush()

    def after(self, step: Step, facts: Facts, *, frozen: bool) -> None:
        """Note what a step brought; send it, unless a process is frozen and not killed yet."""
        if self._listener is None:
            return
        if isinstance(step, Ask) and step.signal != self._asked:
            self._asked = step.signal
            self._note("asked", facts.now)
        for member in facts.appeared:
            if member.spared is None and member.state == ALIVE:
                self._remaining += 1
            self._note("found", facts.now, member)
        self._remaining -= len(self._escalation.living.keys() & {*facts.spared})
        for member in facts.gone:
            if member in self._escalation.living:
                self._remaining -= 1
                self._note("gone", facts.now, member)
        if not frozen:
            self._flush()

    def settled(self, now: float) -> None:
        """Send the last event of the call."""
        self._note("settled", now)
        self._flush()

    def _note(self, kind: EventKind, now: float, member: Member | None = None) -> None:
        if self._listener is None:
            return
        self._queue.append(
            KillEvent(
                kind=kind,
                seconds=now - self._escalation.start,
                identity=None if member is None else identity_of(member),
                remaining=self._remaining,
            )
        )

    def _flush(self) -> None:
        queue, self._queue = self._queue, []
        for event in queue:
            if self._listener is None:  # it raised, and is not called again
                return
            try:
                self._listener(event)
            except Exception:  # noqa: BLE001 - foreign code must not break a kill
                self._listener = None
                _log.exception("on_event raised and is not called again")
            except BaseException as error:  # noqa: BLE001 - raised when the tree has ended
                self._listener = None
                self._interrupt(error)
