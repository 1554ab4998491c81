"""The signals that ask a process, by name."""

from __future__ import annotations

import signal
from collections.abc import Iterable

from .member import Member


def number_of(signal_name: str, members: Iterable[Member]) -> signal.Signals | None:
    """Return a signal to ask these with; where this system lacks it they are unreachable."""
    number: signal.Signals | None = getattr(signal.Signals, signal_name, None)
    for member in members:
        member.unreachable = number is None
        if number is None:
            member.note = f"it could not be asked: this system has no {signal_name}"
    return number
