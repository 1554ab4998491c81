"""Signals: which there are, and which process may be signalled."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

from .member import Member


def number_of(signal_name: str, members: Iterable[Member]) -> signal.Signals | None:
    """Return a signal to ask these with; where this system lacks it they are unreachable."""
    number = getattr(signal.Signals, signal_name, None)
    for member in members:
        member.unreachable = number is None
        if number is None:
            member.note = f"it could not be asked: this system has no {signal_name}"
    return number


def may_signal(pid: int) -> bool:
    """Whether there is a process with this number that this one may signal."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
