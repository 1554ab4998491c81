"""What kill(2) says of a number."""

from __future__ import annotations

import os


def may_signal(pid: int) -> bool:
    """Whether there is a process with this number that this one may signal."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
