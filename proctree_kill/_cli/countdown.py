"""What is said while a grace passes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock, get_ident

from .._models.result import KillEvent

BEFORE, AFTER = 0.25, 0.25  # seconds around a pause


@dataclass(slots=True)
class _Tree:
    asked: int
    left: int
    until: float  # the end of its grace, on the clock
    forced: bool = False


class Countdown:
    """The graces of one call.

    Trees that are ended at the same time have a thread each, by which their events are told apart.
    """

    def __init__(
        self, grace: float, clock: Callable[[], float], pauses: Sequence[float] = ()
    ) -> None:
        """Begin before the first event.

        Args:
            grace: seconds.
            clock: the monotonic clock.
            pauses: seconds of the grace at about which nothing is shown.
        """
        self._pauses = pauses
        self._grace = grace
        self._clock = clock
        self._trees: dict[int, _Tree] = {}
        self._has_begun = False
        self._survivors = 0
        self._changing = Lock()

    def note(self, event: KillEvent) -> str | None:
        """Note an event, in the thread of its tree.

        Returns:
            A line at the begin of a grace, and at the end of the last that passes; else None.
        """
        thread = get_ident()
        with self._changing:
            self._has_begun = True
            passed = self._passes()
            if event.kind == "asked":  # the first of a teardown counts
                until = self._clock() - event.seconds + self._grace
                self._trees.setdefault(thread, _Tree(event.remaining, event.remaining, until))
            if tree := self._trees.get(thread):
                tree.left = event.remaining
                tree.forced = tree.forced or event.kind == "escalated"
            if event.kind == "settled":
                self._trees.pop(thread, None)
                self._survivors += event.remaining
            passes = self._passes()
            if passes == passed:
                return None
            if passes:
                return f"asked to exit; force in {self._grace:g} s"
            left = sum(tree.left for tree in self._trees.values())
            state = f"force, {left:,} left" if left else "all exited"
            return f"{state} after {event.seconds:.2f} s"

    def interrupted(self) -> str:
        """Return the line after an interrupt, which a kill that has begun turns into force."""
        if not self._has_begun:
            return "interrupted; nothing was touched"
        left = self._survivors
        return f"interrupted; forced, {f'{left:,} still alive' if left else 'no process is left'}"

    def texts(self) -> list[str]:
        """Return the line of this moment, the longest form first; empty if nothing is awaited."""
        with self._changing:
            trees = [*self._trees.values()]
        left = f"{sum(tree.left for tree in trees):,} left"
        times = [tree.until for tree in trees if not tree.forced]
        if not times:
            return [f"forced, {left}"] if trees else []
        passed = self._grace - min(times) + self._clock()
        if any(-BEFORE < passed - pause < AFTER for pause in self._pauses):
            return []
        asked = f"asked {sum(tree.asked for tree in trees):,}"
        seconds = f"{max(min(times) - self._clock(), 0):.1f} s"
        key = "Ctrl-C forces now"
        return [
            f"{asked}, {left} · force in {seconds} · {key}",
            f"{left} · force in {seconds} · {key}",
            f"{left} · {seconds} · {key}",
            f"{left} · {seconds}",
        ]

    def _passes(self) -> bool:
        return any(not tree.forced for tree in self._trees.values())
