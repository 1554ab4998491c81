"""What psutil tells of a process, without an exception for what the process does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import psutil

KERNEL_PARENTS = (0, 2)
"""Whose children kernel threads are: the scheduler's, and on Linux kthreadd's."""

VANISHED = (psutil.NoSuchProcess, FileNotFoundError)
"""What tells that a process is gone.

psutil lets the second one through where the number is used again in the middle of a read.
"""
UNTOLD = (psutil.Error, FileNotFoundError)
"""What tells nothing: the process is gone, or hides what was asked for."""

_os: Any = os  # waitid exists on POSIX only, on macOS from Python 3.13 on
_T = TypeVar("_T")


def find(pid: int) -> psutil.Process | None:
    """Return the process that has this number now."""
    try:
        return psutil.Process(pid)
    except VANISHED:
        return None


def told(ask: Callable[[], _T]) -> _T | None:
    """Return what is asked for, or None where it is not told."""
    try:
        return ask()
    except UNTOLD:
        return None


def families() -> dict[int, list[psutil.Process]]:
    """Read the process table: the children of each number."""
    found: dict[int, list[psutil.Process]] = {}
    for pid in psutil.pids():
        with contextlib.suppress(*UNTOLD):  # nobody's child, as far as can be known
            process = psutil.Process(pid)
            found.setdefault(process.ppid(), []).append(process)
    return found


def is_dead(process: psutil.Process) -> bool:
    """Tell whether it is a zombie without a living thread; one that hides its state lives.

    Linux shows a leader whose main thread has ended as a zombie while others go on;
    macOS has no such thing, and tells nobody about the threads of a zombie.
    """
    try:
        if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return False
    except psutil.AccessDenied:
        return False
    except VANISHED:
        return True
    return (told(process.num_threads) or 1) == 1


def is_kernel(process: psutil.Process) -> bool:
    """Tell whether it is a child of the kernel without any memory of its own."""
    memory = told(process.memory_info) if told(process.ppid) in KERNEL_PARENTS else None
    return memory is not None and memory.vms == 0 and not is_dead(process)


def leader(thread: psutil.Process) -> int | None:
    """Return the process of a thread: the only one among its threads that is a process."""
    threads = told(thread.threads) or []
    return next((one.id for one in threads if psutil.pid_exists(one.id)), None)


def environment(pid: int, *, may_block: bool = True) -> Mapping[str, str] | None:
    """Read the environment of a process; None where it is hidden.

    Never of one in uninterruptible sleep, where the reader could be blocked as well:
    it needs the lock of that process's memory.

    Args:
        pid: its number.
        may_block: whether there is such a sleep.
    """
    try:
        process = psutil.Process(pid)
        if may_block and process.status() == psutil.STATUS_DISK_SLEEP:
            return None
        return process.environ()
    except psutil.AccessDenied:
        return None
    except (psutil.Error, OSError):
        return {}


def exit_code(pid: int) -> int | None:
    """Return the exit code of a dead child of ours and leave it dead; None where nobody tells."""
    if not hasattr(os, "waitid"):
        return None
    try:
        found = _os.waitid(_os.P_PID, pid, _os.WEXITED | _os.WNOHANG | _os.WNOWAIT)
    except ChildProcessError:  # somebody else's child
        return None
    if found is None:
        return None
    code: int = found.si_status
    return code if found.si_code == _os.CLD_EXITED else -code
