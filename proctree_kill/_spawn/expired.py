"""What run raises when the time of a command is over."""

from __future__ import annotations

import subprocess


class IdleTimeoutExpired(subprocess.TimeoutExpired):
    """A command was idle for its idle timeout."""

    def __str__(self) -> str:
        return f"Command {self.cmd!r} was idle for {self.timeout} seconds"
