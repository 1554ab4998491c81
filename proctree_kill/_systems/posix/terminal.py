"""The controlling terminal on POSIX, and which processes its keys reach."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

assert sys.platform != "win32" or not TYPE_CHECKING  # what follows is not for Windows

import termios

from ..contract import Launch


class PosixTerminal:
    """The terminal of this session; see :class:`~..contract.Terminal`."""

    def __enter__(self) -> Self:
        """Open it."""
        self._fd: int | None = None
        with contextlib.suppress(OSError):  # ENXIO: the session has none
            self._fd = os.open(os.ctermid(), os.O_RDWR | os.O_NOCTTY)
        self._modes: list[Any] | None = None
        if self._fd is not None and self._foreground() == os.getpgrp():
            self._modes = termios.tcgetattr(self._fd)
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)

    def __bool__(self) -> bool:
        return self._fd is not None

    def starting(self, command: Sequence[str]) -> contextlib.AbstractContextManager[Launch]:
        """Keep it in this session, if that has a terminal."""
        return contextlib.nullcontext(Launch(command, new_session=not self))

    def reaches(self, pid: int) -> bool:
        """Whether it is in the foreground group with this process: the keys signal that group."""
        if self._fd is None:
            return False
        try:
            return self._foreground() == os.getpgrp() == os.getpgid(pid)
        except ProcessLookupError:
            return False

    def reclaim(self, *, modes: bool) -> None:
        """Take the foreground back if no living process has it now."""
        if self._fd is None or self._modes is None:
            return
        foreground = self._foreground()
        if foreground != os.getpgrp() and (foreground is None or not _is_empty(foreground)):
            return
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # else it stops a background process
        try:
            os.tcsetpgrp(self._fd, os.getpgrp())
            if modes:
                termios.tcsetattr(self._fd, termios.TCSANOW, self._modes)
        finally:
            signal.signal(signal.SIGTTOU, before)

    def _foreground(self) -> int | None:
        """Return the foreground group; None after a hang-up."""
        try:
            return None if self._fd is None else os.tcgetpgrp(self._fd)
        except OSError:
            return None


def _is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
