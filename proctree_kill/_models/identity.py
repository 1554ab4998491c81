"""Which process a pid meant: the value that tells it from a later owner of its number."""

from __future__ import annotations

from .base import Model

WEAK_TOLERANCE = 2.0
"""Seconds by which wall-clock start times of one process may differ (macOS: 1.00 s was seen)."""


class ProcessIdentity(Model):
    """Which process a pid meant when it was looked at.

    A pid alone is no identity: the number is used again.
    What a system does not tell is None, and None never matches;
    boot and inode, or boot and start, are enough.

    Args:
        pid: the number, as seen from the caller's pid namespace.
        boot_id: Linux: the random id of this boot (``/proc/sys/kernel/random/boot_id``).
        start: Linux: start in clock ticks since boot (field 22 of ``/proc/PID/stat``, proc(5));
            Windows: the creation FILETIME, in units of 100 ns.
        inode: Linux 6.9 and later: the inode of a pidfd, unique for the boot.
        create_time: macOS, BSD: start in seconds since the epoch; weak, for the clock may be set.
    """

    pid: int
    boot_id: str | None = None
    start: int | None = None
    inode: int | None = None
    create_time: float | None = None

    @property
    def weak(self) -> bool:
        """Whether only a wall-clock time tells this process from a later owner of its number."""
        return self.start is None and None in (self.boot_id, self.inode)

    def same_process(self, other: ProcessIdentity) -> bool | None:
        """Tell whether two identities name one process; None where it cannot be known."""
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


def _differ(known: tuple[object, object]) -> bool:
    """Whether both are known and are not the same."""
    return None not in known and known[0] != known[1]
