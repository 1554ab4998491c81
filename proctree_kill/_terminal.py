"""The controlling terminal, and whom its keys reach without our help."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Self


class Terminal:
    """The terminal of this process's session, false where there is none.

    A Windows console counts as one: its Ctrl-C reaches everybody on it.
    """

    def __enter__(self) -> Self:
        """Open it."""
        self._fd: int | None = None
        self._console = not hasattr(os, "ctermid")
        if hasattr(os, "ctermid"):
            with contextlib.suppress(OSError):  # ENXIO: the session has none
                self._fd = os.open(os.ctermid(), os.O_RDWR | os.O_NOCTTY)
        self._was_in_front = self._fd is not None and self._front() == os.getpgrp()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the terminal back from a group that is gone, and close it."""
        if self._fd is None:
            return
        try:
            if self._was_in_front and self._is_deserted():
                self._take()
        finally:
            os.close(self._fd)

    def __bool__(self) -> bool:
        return self._console or self._fd is not None

    def reaches(self, pid: int) -> bool:
        """Tell whether a key that sends us a signal sends it to our child as well.

        The keys signal the whole foreground group (termios(3), ISIG).

        Args:
            pid: a child that is not reaped.
        """
        if self._fd is None:
            return self._console
        try:
            return self._front() == os.getpgrp() == os.getpgid(pid)
        except ProcessLookupError:
            return False

    def _front(self) -> int | None:
        """Return the foreground group; None once the terminal has hung up."""
        try:
            return os.tcgetpgrp(self._fd or 0)
        except OSError:
            return None

    def _is_deserted(self) -> bool:
        """Tell whether the foreground group has no member, so that the keys reach nobody."""
        try:
            os.killpg(self._front() or os.getpgrp(), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False

    def _take(self) -> None:
        """Put our own group into the foreground; who is not in it would be stopped for that."""
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        try:
            os.tcsetpgrp(self._fd or 0, os.getpgrp())
        finally:
            signal.signal(signal.SIGTTOU, before)
