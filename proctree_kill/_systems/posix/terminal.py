"""POSIX: the controlling terminal, and whom its keys reach without our help."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Self

assert sys.platform != "win32" or not TYPE_CHECKING  # what follows is not for Windows

import termios


class Tty:
    """The terminal of this session; :class:`~._system.Terminal` says what each method promises."""

    def __enter__(self) -> Self:
        """Open it."""
        self._fd: int | None = None
        with contextlib.suppress(OSError):  # ENXIO: the session has none
            self._fd = os.open(os.ctermid(), os.O_RDWR | os.O_NOCTTY)
        self._modes: list[Any] | None = None
        if self._fd is not None and self._front() == os.getpgrp():
            self._modes = termios.tcgetattr(self._fd)
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)

    def __bool__(self) -> bool:
        return self._fd is not None

    def reaches(self, pid: int) -> bool:
        """Tell whether it is in the foreground group with us: the keys signal all of that."""
        if self._fd is None:
            return False
        try:
            return self._front() == os.getpgrp() == os.getpgid(pid)
        except ProcessLookupError:
            return False

    def reclaim(self, *, modes: bool) -> None:
        """Do so where it was ours on entry, and nobody alive has it now."""
        if self._fd is None or self._modes is None:
            return
        front = self._front()
        if front != os.getpgrp() and (front is None or not _is_deserted(front)):
            return
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # it would stop who is not in front
        try:
            os.tcsetpgrp(self._fd, os.getpgrp())
            if modes:
                termios.tcsetattr(self._fd, termios.TCSANOW, self._modes)
        finally:
            signal.signal(signal.SIGTTOU, before)

    def _front(self) -> int | None:
        """Return the foreground group; None once the terminal has hung up."""
        try:
            return None if self._fd is None else os.tcgetpgrp(self._fd)
        except OSError:
            return None


def _is_deserted(group: int) -> bool:
    """Tell whether a group has no members, so that the keys reach nobody."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
