"""Being called something else than ``python`` in a list of processes."""

from __future__ import annotations

import contextlib
from pathlib import Path


def call_me(name: str) -> None:
    """Take a name of up to 15 letters, where the system lets a process choose: Linux, proc(5)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name, encoding="ascii")
