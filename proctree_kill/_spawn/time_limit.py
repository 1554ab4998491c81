"""How long a command may run: its timeout, and its idle timeout."""

from __future__ import annotations

import math
import time
from typing import Literal

from .idle import IdleClock

Reason = Literal["timeout", "idle_timeout"]


class TimeLimit:
    """The time of one command. Called, it returns when to give up, as the waits ask for it.

    Attributes:
        end: when the timeout is over, on the monotonic clock; infinity without one.
        idle: knows when the tree was idle; None: it may be.
        reason: why the command is to be ended; None while it has time.
    """

    def __init__(self, end: float = math.inf, idle: IdleClock | None = None) -> None:
        """Begin just after the start of the command."""
        self.end = end
        self.idle = idle
        self.reason: Reason | None = None

    def __call__(self) -> float:
        """Return when to ask again, on the monotonic clock: a busy tree has more time then.

        When the time is over, 0, from then on.
        """
        now, idle = time.monotonic(), self.idle
        if self.reason is None and now >= self.end:
            self.reason = "timeout"
        if self.reason is None and idle is not None and now >= idle.due and idle.look(now):
            self.reason = "idle_timeout"
        if self.reason is not None:
            return 0.0
        return self.end if idle is None else min(self.end, idle.due)
