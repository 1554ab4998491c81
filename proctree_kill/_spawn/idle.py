"""Whether a tree is idle: its silence, and the CPU that it used meanwhile. Pure."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable, Mapping
from numbers import Real
from typing import NamedTuple

SHARE = 0.02  # of one core; a server with a timer uses up to 0.005
PART = 0.05  # of a timeout; so often the CPU is read at a byte
LATE = 1.0  # seconds, or that part: a look that comes later proves nothing


class CpuReading(NamedTuple):
    """The CPU that a tree had used at one time.

    Args:
        at: when the reading ended, on the monotonic clock.
        used: seconds of its cell, and of each member that is read by itself; None if unknown.
        exact: whether it has what the processes that ended had used.
    """

    at: float
    used: Mapping[Hashable, float] | None
    exact: bool = True

    def since(self, earlier: CpuReading) -> float | None:
        """Return the seconds used since an earlier reading; None if unknown.

        What is new counts whole. A child that was reaped counts once more, with its parent.
        """
        if self.used is None or earlier.used is None:
            return None
        before = earlier.used
        if not self.exact and before.keys() != self.used.keys():
            return None
        return sum(max(used - before.get(key, 0.0), 0.0) for key, used in self.used.items())


class IdleClock:
    """Knows when a tree was idle for a time: no activity was noted and it used less than 2 % CPU.

    A tree whose CPU is unknown is busy. It is looked at only when the time is over; one that is
    found busy begins a new period, and so does a look that comes much too late: the machine or
    this process slept, and might have read a byte.
    No lock is held: a signal handler may note activity too.

    Attributes:
        timeout: seconds of a period.
    """

    def __init__(
        self,
        timeout: float,
        cpu: Callable[[], CpuReading],
        start: float,
        sample: Callable[[CpuReading], CpuReading] | None = None,
    ) -> None:
        """Begin at the start of a tree, which has used no CPU by then.

        Args:
            timeout: seconds, more than 0.
            cpu: reads the CPU of the tree.
            start: now, on the monotonic clock.
            sample: brings an earlier reading up to date as far as that is cheap, at a byte.
                Without it a period may begin long before the last byte: a tree that was busy
                until then is found busy once more.
        """
        self.timeout = timeout
        self._cpu = cpu
        self._sample = sample
        self._activity = start
        self._reading = CpuReading(start, {})

    @property
    def due(self) -> float:
        """When to look next, on the monotonic clock; activity moves it."""
        return max(self._activity, self._reading.at) + self.timeout

    def note_activity(self, now: float) -> None:
        """Note a byte, or what else proves that the tree is not idle; from any thread."""
        self._activity = max(now, self._activity)
        reading = self._reading
        if self._sample is not None and now - reading.at >= self.timeout * PART:
            self._reading = self._sample(reading)

    def look(self, now: float) -> bool:
        """Return whether the tree was idle for the timeout; a busy one begins a new period."""
        # In this order: activity that is noted in between makes it too early to look.
        before, activity = self._reading, self._activity
        start = max(activity, before.at)
        late = now - start - self.timeout
        if late < 0:
            return False
        limit = SHARE * (now - start)
        # The cheap reading first: what it leaves out could only add to what it shows.
        reading = before if self._sample is None else self._sample(before)
        used = reading.since(before)
        if used is None or used < limit:
            reading = self._cpu()
            used = reading.since(before)
        is_silent = late < max(LATE, self.timeout * PART) and self._activity == activity
        if is_silent and used is not None and used < limit:
            return True
        self._reading = reading
        return False


def check_seconds(name: str, seconds: float | None) -> float | None:
    """Return a timeout as it was given.

    Raises:
        TypeError, ValueError: it is neither None nor a positive number.
    """
    if seconds is None:
        return None
    text = f"{name} is {seconds!r}, expected seconds, more than 0, or None"
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(text)
    if not 0 < seconds <= sys.float_info.max:  # an int may be more
        raise ValueError(text)
    return seconds


def check_timeout(timeout: object) -> None:
    """Check a timeout as ``subprocess`` has it: any number of seconds, an infinite one too.

    Raises:
        TypeError, ValueError: it is neither None nor a number that a float can hold.
    """
    if timeout is None:
        return
    text = f"timeout is {timeout!r}, expected a number of seconds or None"
    if not isinstance(timeout, Real):
        raise TypeError(text)
    try:
        is_number = not math.isnan(timeout)
    except OverflowError:  # an int may be more than any float
        is_number = False
    if not is_number:
        raise ValueError(text)
