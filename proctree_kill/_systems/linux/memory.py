"""What the memory of a process holds: its environment and its arguments."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from . import procfs, stops


def carries(pid: int, markers: Collection[bytes], since: int = 0) -> bool | None:
    """Whether the environment that a process was started with holds one of these.

    False for a process that started before ``since``, in clock ticks since boot.

    None where we may not read it (ptrace(2), access modes), or cannot now: during execve(2) a
    process has neither environment nor arguments, and in uninterruptible sleep it may hold the
    lock of its memory, so that the read blocks.
    """
    if since and procfs.is_older(pid, since):
        return False
    found = procfs.stat(pid)
    if found is None or found.flags & procfs.PF_KTHREAD:
        return False
    if found.state == b"D" and not stops.is_parked(pid):
        return None
    if (folder := with_memory(pid, found)) is None:
        return False
    path = f"{folder}/environ"
    environment = procfs.read(path)
    if not environment:
        if _is_forbidden(path) or not procfs.read(f"{folder}/cmdline"):
            return None if os.path.exists(path) else False
        # An execve(2) may have replaced the memory of the first read.
        environment = procfs.read(path)
    environment = b"\0" + environment + b"\0"
    return any(b"\0" + marker + b"\0" in environment for marker in markers)


def with_memory(pid: int, found: procfs.Stat) -> str | None:
    """Return the folder that shows what is in the memory of a process; None where it has none.

    Where the main thread has ended, that of another thread does.
    """
    if found.state != b"Z":
        return f"/proc/{pid}"
    others = [task for task in procfs.tasks(pid) if task != str(pid)] if found.threads > 1 else []
    return f"/proc/{pid}/task/{others[0]}" if others else None


def _is_forbidden(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except PermissionError:
        return True
    except procfs.HIDDEN:
        return False
    return False


def arguments(pid: int) -> list[str]:
    """Read the arguments of a process; none in uninterruptible sleep.

    There the memory may be locked, and the read would block.
    """
    found = procfs.stat(pid)
    if found is None or found.state == b"D":
        return []
    folder = with_memory(pid, found)
    data = procfs.read(f"{folder}/cmdline") if folder else b""
    return os.fsdecode(data).removesuffix("\0").split("\0")
