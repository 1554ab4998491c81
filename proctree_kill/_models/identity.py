"""The identity of a process, which distinguishes it from a later process with the same pid."""

from __future__ import annotations

from .base import Model

Image = tuple[str | None, ...]
"""Tokens of the program image of a process, which execve(2) changes; None for one that is hidden.

Its pid and its start stay, so its identity does. A fork has the tokens of its parent.
"""
WEAK_TOLERANCE = 2.0  # seconds between two start times of one process (macOS: 1.00 was seen)


class ProcessIdentity(Model):
    """The process that had a pid when the identity was taken.

    A pid alone is not enough: the system reuses it.
    Boot and inode, or boot and start, identify a process.
    A field that the system does not provide is None, and None never matches.

    Args:
        pid: the pid in the caller's pid namespace.
        boot_id: Linux: the random id of this boot (``/proc/sys/kernel/random/boot_id``).
        start: Linux: start in clock ticks since boot (field 22 of ``/proc/PID/stat``, proc(5));
            Windows: the creation time (FILETIME), in units of 100 ns.
        inode: Linux 6.9 and later: the inode of a pidfd, unique for the boot.
        create_time: macOS, BSD: start time in seconds since the epoch. It is weak evidence:
            the clock may be set.
    """

    pid: int
    boot_id: str | None = None
    start: int | None = None
    inode: int | None = None
    create_time: float | None = None

    @property
    def weak(self) -> bool:
        """Whether only a wall-clock time distinguishes it from a later process with its pid."""
        return self.start is None and None in (self.boot_id, self.inode)

    def same_process(self, other: ProcessIdentity) -> bool | None:
        """Return whether two identities name one process; None if that cannot be known."""
        boots, starts = (self.boot_id, other.boot_id), (self.start, other.start)
        inodes = (self.inode, other.inode)
        if self.pid != other.pid or any(map(_differ, (boots, starts, inodes))):
            return False
        if None not in starts:
            return True if self.boot_id == other.boot_id else None
        if None not in boots and None not in inodes:
            return True
        if self.create_time is not None and other.create_time is not None:
            return abs(self.create_time - other.create_time) <= WEAK_TOLERANCE
        return None

    def __str__(self) -> str:
        return str(self.pid)


def is_replaced(recorded: Image, found: Image) -> bool:
    """Whether a process that ran one program image is known to run another by now."""
    return any(map(_differ, zip(recorded, found, strict=False)))


def _differ(pair: tuple[object, object]) -> bool:
    return None not in pair and pair[0] != pair[1]
