"""Running taskkill and tasklist: by absolute path, without a window, within a time."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable
from typing import IO, NamedTuple, cast

from . import taskkill, win32
from .taskkill import Answer

Await = Callable[[int, float], bool]
"""Waits until a handle is signalled, until a time, or for a hurry; returns whether it is."""

CREATE_NO_WINDOW = 0x08000000
"""A process creation flag that ``subprocess`` names on Windows only."""
KILL_WAIT = 0.1
"""Seconds that a killed tool has to die."""


class Ran(NamedTuple):
    """The outcome of a tool, and its output."""

    answer: Answer
    output: bytes = b""


class Helper:
    """The tools of Windows, each with a timeout."""

    def __init__(self, timeout: float, wait_for: Await) -> None:
        """Run nothing yet.

        Args:
            timeout: seconds that each tool may take.
            wait_for: waits for the end of a tool.
        """
        self._timeout = timeout
        self._wait_for = wait_for

    def ask_to_close(self, pids: list[int], until: float) -> Answer:
        """Let taskkill post WM_CLOSE to the windows of these."""
        return self._run(taskkill.ask_to_close(_path("taskkill"), pids), until).answer

    def force(self, pids: list[int], until: float) -> Answer:
        """Let taskkill end these."""
        return self._run(taskkill.force(_path("taskkill"), pids), until).answer

    def lists(self, pid: int, until: float) -> bool | None:
        """Whether tasklist lists a number; None where it did not answer."""
        ran = self._run(taskkill.look_up(_path("tasklist"), pid), until)
        return taskkill.lists(ran.output, pid) if ran.answer is Answer.DONE else None

    def _run(self, command: list[str], until: float) -> Ran:
        until = min(until, time.monotonic() + self._timeout)
        if time.monotonic() >= until:
            return Ran(Answer.HUNG)
        try:
            tool = subprocess.Popen(  # noqa: S603 - a system program by its path, with numbers
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                creationflags=CREATE_NO_WINDOW,
            )
        except OSError:
            return Ran(Answer.MISSING)
        # Their output fits into the pipe, so it is read when they have ended.
        with cast("IO[bytes]", tool.stdout) as written:
            if self._ended(tool, until):
                return Ran(taskkill.answer(tool.poll()), written.read())
        tool.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            tool.wait(KILL_WAIT)
        return Ran(Answer.HUNG)

    def _ended(self, tool: subprocess.Popen[bytes], until: float) -> bool:
        """Wait for the end of a tool; unlike ``Popen.wait`` a hurry ends it."""
        handle = win32.open_process(tool.pid, win32.SYNCHRONIZE)
        if handle is None:
            return True
        with win32.closing(handle):
            return self._wait_for(handle, until)


def _path(name: str) -> str:
    return taskkill.program(win32.windows_folder(), name)
