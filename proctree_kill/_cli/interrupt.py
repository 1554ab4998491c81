"""Signals that ask the command line to leave, as one exception."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

LEAVING = ("SIGTERM", "SIGHUP", "SIGBREAK")
"""What ends a program beside Ctrl-C; SIGBREAK is Windows' Ctrl-Break, which has no SIGHUP."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt for each signal that asks to leave, unless it is ignored (nohup).

    A process that these end by default would leave a frozen tree behind.
    """
    numbers = [getattr(signal, name) for name in LEAVING if hasattr(signal, name)]
    before = {one: signal.getsignal(one) for one in numbers}
    kept = (signal.SIG_IGN, None)  # None: set by somebody who is not Python
    changed = {one: handler for one, handler in before.items() if handler not in kept}
    for one in changed:
        signal.signal(one, _leave)
    try:
        yield
    finally:
        for one, handler in changed.items():
            signal.signal(one, handler)


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """Return what a shell calls the end by that signal."""
    return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt(number)
