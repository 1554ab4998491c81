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
        # A shell without job control keeps a job in the background in its own group, and lets it
        # ignore SIGINT. A server below a full-screen program has pipes.
        in_background = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        self._is_for_us = not in_background and (os.isatty(0) or os.isatty(1))
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)

    def __bool__(self) -> bool:
        return self._fd is not None

    @property
    def is_canonical(self) -> bool:
        """Whether ICANON is set (termios(3))."""
        try:
            return self._fd is not None and bool(termios.tcgetattr(self._fd)[3] & termios.ICANON)
        except termios.error:  # a hang-up
            return False

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
        foreground, ours = self._foreground(), os.getpgrp()
        if foreground != ours and (foreground is None or not _is_empty(foreground)):
            return
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # else it stops a background process
        try:
            if ours:  # 0: the group of a process outside our pid namespace, as below unshare(1)
                os.tcsetpgrp(self._fd, ours)
            changed = modes and termios.tcgetattr(self._fd) != self._modes
            if changed and self._is_for_us and not _group_has_others():
                termios.tcsetattr(self._fd, termios.TCSANOW, self._modes)
        finally:
            signal.signal(signal.SIGTTOU, before)

    def _foreground(self) -> int | None:
        """Return the foreground group; None after a hang-up."""
        try:
            return None if self._fd is None else os.tcgetpgrp(self._fd)
        except OSError:
            return None


def is_in_front(fd: int) -> bool:
    """Whether no other group than ours is in the foreground of a terminal."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # it is not the terminal of this session
        return True


def _group_has_others() -> bool:
    """Whether our group has more than us and our ancestors, as ``less`` in ``run ... | less``."""
    import psutil  # noqa: PLC0415 - slow, and rarely needed

    try:
        line = [psutil.Process(), *psutil.Process().parents()]
        others = {*psutil.pids()}.difference(process.pid for process in line)
        return any(_is_in(os.getpgrp(), pid) for pid in others)
    except psutil.Error:  # /proc does not show this process
        return True


def _is_in(group: int, pid: int) -> bool:
    """Whether a living process is in a group."""
    import psutil  # noqa: PLC0415 - slow, and rarely needed

    try:
        return os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):  # it is in another session
        return False


def _is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
