"""A terminal of our own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from .times import BOUND

PENDING = re.compile(r"^(Sig|Shd)Pnd:.*[^0\s]", re.MULTILINE)


class Terminal:
    """A terminal, and the leader of the session on it."""

    def __init__(self, fdspawn: Callable[..., Any]) -> None:
        self._master, self._slave = os.openpty()
        self._screen = fdspawn(self._master, timeout=BOUND, encoding="utf-8")

    def run(self, *argv: str, stdin: IO[str] | int | None = None, **options: Any) -> None:
        """Run a program whose controlling terminal this is."""
        self._leader = subprocess.Popen(
            argv,
            stdin=self._slave if stdin is None else stdin,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            preexec_fn=self._control,  # noqa: PLW1509 - no other way, and no thread here
            **options,
        )

    def _control(self) -> None:
        """Make it the controlling terminal of the session of this process (tty_ioctl(4))."""
        import fcntl  # noqa: PLC0415 - not on every system
        import termios  # noqa: PLC0415 - not on every system

        fcntl.ioctl(1, termios.TIOCSCTTY, 0)

    def modes(self) -> list[Any]:
        """Return its modes (termios(3))."""
        import termios  # noqa: PLC0415 - not on every system

        return termios.tcgetattr(self._slave)

    def type(self, keys: str) -> None:
        self._screen.send(keys)

    def press_ctrl_c(self) -> None:
        """Interrupt, and wait until the leader has taken the signal: two at once are one.

        What a signal has ended keeps it pending (proc_pid_status(5)).
        """
        self.type("\3")
        self.expect("^C")
        status = Path(f"/proc/{self._leader.pid}/status")
        while PENDING.search(found := status.read_text()) and "zombie" not in found:
            os.sched_yield()

    def expect(self, text: str) -> None:
        """Wait until it shows a text."""
        self._screen.expect_exact(text)

    def find(self, pattern: str) -> str:
        """Wait until it shows a text of this pattern; return its first group."""
        self._screen.expect(pattern)
        found: str = self._screen.match[1]
        return found

    def rest(self) -> str:
        """Wait for the end of the leader; return what it wrote that was not looked at."""
        self._close_slave()  # that of the leader is then the last
        shown: str = self._screen.read()
        return shown

    def hang_up(self) -> None:
        """Close the other side of it."""
        self._close_slave()
        self._screen.close()
        self._master = -1

    def _close_slave(self) -> None:
        if self._slave >= 0:
            os.close(self._slave)
        self._slave = -1

    def wait(self) -> int:
        """Wait for the end of the leader and return its exit code, as a shell shows it."""
        code = self._leader.wait(BOUND)
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        """End all that is left."""
        if self._master >= 0:
            self.hang_up()
        self._leader.kill()
        self._leader.wait()
