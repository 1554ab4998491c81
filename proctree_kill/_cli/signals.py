"""Signals and other news as one stream of numbers that is waited for without polling."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import NoReturn, Self

LONGEST = 86400.0
"""Seconds that one wait lasts at most: the system's own limits are somewhere above."""


class SignalQueue:
    """Tells which signals came, and what else it was told, in the order in which it came.

    The interpreter writes the number of each signal into a socket as it arrives
    (``signal.set_wakeup_fd``), so that none is missed between a look and a wait.
    What is ignored on entry stays ignored (nohup).
    To be entered in the main thread.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Choose the signals by their names; those that this system lacks are left out."""
        self._numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        self._come = bytearray()

    def __enter__(self) -> Self:
        self._reading, self._writing = socket.socketpair()
        self._writing.settimeout(0)  # the interpreter insists
        self._wakeup = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        kept = (signal.SIG_IGN, None)  # None: set by somebody who is not Python
        heeded = [one for one in self._numbers if signal.getsignal(one) not in kept]
        self._before = {one: signal.signal(one, _heed) for one in heeded}
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._reading.close()
        self._writing.close()

    def put(self, number: int) -> None:
        """Add a number that is no signal's; callable from any thread."""
        with contextlib.suppress(OSError):  # nobody listens any more
            self._writing.send(bytes([number]))

    def get(self, until: float | None = None) -> int | None:
        """Wait for the next number.

        Args:
            until: when to give up, on the monotonic clock; None is never.

        Returns:
            The number; None when the time is over.
        """
        while not self._come:
            left = LONGEST if until is None else until - time.monotonic()
            self._reading.settimeout(max(0.0, min(left, LONGEST)))
            try:
                self._come += self._reading.recv(4096)
            except (TimeoutError, BlockingIOError):
                if left <= LONGEST and until is not None:
                    return None
        return self._come.pop(0)


def _heed(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the number was written when the signal came."""


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
