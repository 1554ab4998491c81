"""Exit codes that cannot be known."""

from __future__ import annotations


class UnknownExitCode(int):
    """Stands for an exit code that was lost; as a number it is no success."""

    def __repr__(self) -> str:
        return f"{int(self)} (unknown)"


UNKNOWN = UnknownExitCode(255)
"""The ``returncode`` of a process whose exit code was lost; asyncio says 255 too."""
LOST = "another part of this program has reaped it, or SIGCHLD is ignored"
"""Why an exit code is unknown, as the end of a sentence."""


def known(code: int | None) -> int | None:
    """Return an exit code; None where it is unknown."""
    return None if isinstance(code, UnknownExitCode) else code
