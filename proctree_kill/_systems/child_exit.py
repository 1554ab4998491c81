"""How a child of this process ended, also where another part of the program reaps it."""

from __future__ import annotations

import os
import threading
from typing import Any

from .pid import exit_code

NOTED_WITHIN = 1.0  # seconds in which the thread that waits must have noted an end that it saw

_os: Any = os  # waitid exists on POSIX only, on macOS from Python 3.13 on


def options(*, block: bool) -> int:
    """Return the options of waitid(2) for the end of a child that is not to be reaped."""
    flags: int = _os.WEXITED | _os.WNOWAIT | (0 if block else _os.WNOHANG)
    return flags


class ChildExit:
    """The end of one child, which a thread waits for without reaping it.

    If another part of the program reaps the child, the kernel may still have told that thread:
    both are woken at the same time.
    """

    def __init__(self) -> None:
        """Begin without a child."""
        self._pid: int | None = None
        self._noted = threading.Event()
        self._code: int | None = None

    def hold(self, pid: int) -> None:
        """Take a child that was just started."""
        self._pid = pid

    def wait(self) -> None:
        """Wait for the end in a thread, and note the exit code."""
        if self._pid is not None:
            try:
                self._code = exit_code(self._waitid(block=True))
            except OSError:  # it was reaped, or a filter forbids the call
                self._code = None
        self._noted.set()

    def code(self, *, reaped: bool) -> int | None:
        """Return the exit code of a child that has ended; None if it is unknown, or lives.

        Args:
            reaped: whether it is known that its number is no longer its own.
        """
        if self._pid is None:
            return None
        if reaped:
            return self._reaped_code()
        try:
            return exit_code(self._waitid(block=False))
        except ChildProcessError:
            return self._reaped_code()
        except OSError:  # a filter forbids the call, as it did for the thread
            return None

    def close(self) -> None:
        """Let go of the child."""

    def _waitid(self, *, block: bool) -> Any:  # noqa: ANN401 - os.waitid_result, which not every system has
        if not hasattr(os, "waitid"):
            return None
        return _os.waitid(_os.P_PID, self._pid, options(block=block))

    def _reaped_code(self) -> int | None:
        self._noted.wait(NOTED_WITHIN)
        return self._code
