"""The name of this process in lists of processes."""

from __future__ import annotations

import contextlib
from pathlib import Path


def set_process_name(name: str) -> None:
    """Set the name of this process, up to 15 letters; on Linux only (proc_pid_comm(5))."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name, encoding="ascii")
