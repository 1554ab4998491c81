"""What psutil says of a process, without an exception for what the process does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import psutil

KERNEL_PARENTS = (0, 2)
"""The parents of kernel threads: the scheduler, and on Linux kthreadd."""

VANISHED = (psutil.NoSuchProcess, FileNotFoundError)
"""Errors that mean that a process is gone.

psutil raises the second one where the number is used again in the middle of a read.
"""
UNREADABLE = (psutil.Error, FileNotFoundError)
"""Errors that mean that a process is gone, or hides what was asked for."""

_os: Any = os  # waitid exists on POSIX only, on macOS from Python 3.13 on
_T = TypeVar("_T")


def find(pid: int) -> psutil.Process | None:
    """Return the process that has this number now."""
    try:
        return psutil.Process(pid)
    except VANISHED:
        return None


def read(call: Callable[[], _T]) -> _T | None:
    """Return what psutil says, or None where it does not."""
    try:
        return call()
    except UNREADABLE:
        return None


def families() -> dict[int, list[psutil.Process]]:
    """Read the process table: the children of each number."""
    found: dict[int, list[psutil.Process]] = {}
    for pid in psutil.pids():
        with contextlib.suppress(*UNREADABLE):  # its parent cannot be known
            process = psutil.Process(pid)
            found.setdefault(process.ppid(), []).append(process)
    return found


def arguments(process: psutil.Process) -> Sequence[str]:
    """Read the arguments of a process; none in uninterruptible sleep, which locks the memory."""
    asleep = read(process.status) == psutil.STATUS_DISK_SLEEP
    return () if asleep else read(process.cmdline) or ()


def used(process: psutil.Process) -> tuple[float, float, int] | None:
    """Return the CPU seconds, user and system, with its reaped children, and the bytes resident."""
    cpu, memory = read(process.cpu_times), read(process.memory_info)
    if cpu is None:
        return None
    user, system = cpu.user + cpu.children_user, cpu.system + cpu.children_system
    return user, system, memory.rss if memory else 0


def is_dead(process: psutil.Process) -> bool:
    """Whether it is a zombie without a living thread; one that hides its state lives."""
    try:
        if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return False
    except psutil.AccessDenied:
        return False
    except VANISHED:
        return True
    # Linux shows a leader whose main thread has ended as a zombie while other threads run.
    # macOS has no such state, and does not count the threads of a zombie.
    return (read(process.num_threads) or 1) == 1


def is_kernel(process: psutil.Process) -> bool:
    """Whether it is a child of the kernel without any memory of its own."""
    memory = read(process.memory_info) if read(process.ppid) in KERNEL_PARENTS else None
    return memory is not None and memory.vms == 0 and not is_dead(process)


def leader(thread: psutil.Process) -> int | None:
    """Return the process of a thread: the only process among its threads."""
    threads = read(thread.threads) or []
    return next((other.id for other in threads if psutil.pid_exists(other.id)), None)


def environment(pid: int, *, may_block: bool = True) -> Mapping[str, str] | None:
    """Read the environment of a process; None where it is hidden.

    It is not read in uninterruptible sleep: that process may hold the lock of its memory,
    and the reader would block too.

    Args:
        pid: its number.
        may_block: whether this system has such a sleep.
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
