"""When a session is stopped without a call: it was idle for a time, or its lifetime is over."""

from __future__ import annotations

import math
from collections.abc import Callable

from .._spawn.idle import IdleClock
from .models import TimeoutReason

AGAIN = 60.0  # seconds until the next look after one that failed


class Timer:
    """The timeouts of one session, for the thread that watches all of them.

    Activity moves the idle timeout, but not :attr:`due`, so that it wakes no thread: a timer that
    rings too early is set anew.

    Attributes:
        due: when to call :meth:`ring`, on the monotonic clock; infinity: never.
    """

    def __init__(
        self,
        end: float,
        idle: IdleClock | None,
        timed_out: Callable[[TimeoutReason], object],
    ) -> None:
        """Set it.

        Args:
            end: when the lifetime is over, on the monotonic clock; infinity: never.
            idle: the clock of the idle timeout, if there is one.
            timed_out: called once, by :meth:`ring`.
        """
        self._end = end
        self._idle = idle
        self._timed_out = timed_out
        self.due = end if idle is None else min(end, idle.due)

    def ring(self, now: float) -> None:
        """Call ``timed_out`` if it is time, or set :attr:`due` anew."""
        if now >= self._end:
            self._fire("max_lifetime")
            return
        if self._idle is None:
            return
        self.due = min(self._end, now + AGAIN)  # where the look raises
        if now >= self._idle.due and self._idle.look(now):
            self._fire("idle_timeout")
        else:
            self.due = min(self._end, self._idle.due)

    def _fire(self, reason: TimeoutReason) -> None:
        self.due = math.inf
        self._timed_out(reason)
