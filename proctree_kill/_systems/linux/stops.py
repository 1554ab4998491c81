"""Whether a process that was sent SIGSTOP has stopped: none of its threads is in fork(2)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..member import Member
from . import procfs

STOPPED = (b"T", b"t", b"Z", b"X")
"""The states of a thread that is stopped or traced, or has ended (proc(5))."""
PARKED = (
    b"kernel_clone",  # waits until its vfork(2) child, attached by then, has called exec
    b"_do_fork",  # the same before Linux 5.10
    b"wait_for_vfork_done",  # the same where the compiler does not inline it
    b"get_signal",  # frozen by its cgroup (v2) on its way out of the kernel
    b"do_freezer_trap",  # the same where the compiler does not inline it
)
"""Where a thread can sleep (``wchan``, proc(5)) outside of fork(2) and with its memory unlocked."""


def not_stopped(members: Iterable[Member]) -> list[Member]:
    """Return those members that are not seen to be stopped with their only thread.

    :func:`may_fork` judges those. Here is one short loop, because large trees pay for each line.
    """
    left = []
    for member in members:
        _, _, tail = procfs.read(f"/proc/{member.pid}/stat").rpartition(b") ")
        fields = tail.split(b" ", 18)
        if fields[0] in STOPPED and fields[17] == b"1":
            member.threads = 1
        else:
            left.append(member)
    return left


def may_fork(member: Member, *, looks_again: bool = False) -> bool:
    """Whether a thread of a process that was sent SIGSTOP may still be in fork(2).

    The member's threads are noted where none can be added, and what it used if it ``looks_again``.
    """
    found = procfs.stat(member.pid)
    if found is None:  # gone or hidden
        return True
    if looks_again:
        procfs.look_again(member, found)
    if found.threads == 1 and found.state in STOPPED:
        member.threads = 1
        return False
    if found.start != member.start:
        return False
    if found.threads == 1:
        return _may_fork(member.pid, found)
    threads = [int(task) for task in procfs.tasks(member.pid)]
    return any(_may_fork(thread, procfs.stat(thread)) for thread in threads)


def _may_fork(thread: int, found: procfs.Stat | None) -> bool:
    if found is None or found.state in STOPPED:
        return False
    return found.state == b"R" or not is_parked(thread)


def is_parked(thread: int) -> bool:
    """Whether a thread sleeps outside of fork(2) and with the memory of its process unlocked."""
    place = procfs.read(f"/proc/{thread}/wchan")
    if place == b"0":  # of every thread before Linux 5.16 (ORC unwinder); root may read the stack
        place = procfs.read(f"/proc/{thread}/stack").partition(b"+")[0].rpartition(b" ")[2]
    return place in PARKED
