"""The cgroup of a tree that another process contained, as a record names it."""

from __future__ import annotations

import errno
import os
import sys
import weakref
from typing import TYPE_CHECKING, Self

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..._models.identity import ProcessIdentity
from . import cgroupfs, procfs
from .cgroup import TreeCgroup

_SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""What tells nothing about a directory; any other refusal tells that it is no cgroup for us."""


class RecordedCgroup(TreeCgroup):
    """A cgroup whose owner may be dead.

    Looking opens nothing for writing and changes nothing.
    Its files are reached beneath the descriptor of the directory that was judged.
    """

    def __init__(self, folder: str, fd: int, uid: int | None) -> None:
        """Stand for a cgroup that was judged; :meth:`find` is the way to it."""
        super().__init__(folder, "", cgroupfs.entries(folder))
        self._beneath = f"/proc/self/fd/{fd}"
        self._may_kill = uid is None or os.fstat(fd).st_uid == uid
        self._ended = False
        self._close = weakref.finalize(self, os.close, fd)

    @classmethod
    def find(cls, folder: str, owner: ProcessIdentity | None, uid: int | None) -> Self | None:
        """Stand for a cgroup of version 2 that was made by an owner, if this is one.

        Args:
            folder: its directory, which must have been reached without a link.
            owner: the process whose name it must carry; None: any.
            uid: with whose rights alone it may be acted upon; None: with ours.

        Raises:
            OSError: it cannot be looked at, for want of descriptors or memory.
        """
        made_by = cgroupfs.owner_of(os.path.basename(folder))
        if made_by is None or (owner is not None and made_by != _name_of(owner)):
            return None
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except ValueError:  # a name that no file can have
            return None
        except OSError as error:
            if error.errno in _SHORT_OF:
                raise
            return None
        # A plain directory can have every file of a cgroup; its device cannot be imitated.
        found = os.fstat(fd).st_dev in cgroupfs.devices()
        if found and os.readlink(f"/proc/self/fd/{fd}") == folder:
            return cls(folder, fd, uid)
        os.close(fd)
        return None

    def pids(self) -> list[int]:
        """List the processes in here and below, and in a dead owner's entry."""
        return list(self._inside() | self._entering())

    def kill(self) -> bool:
        """Kill everything in here at once, where no process is elsewhere and we have the right.

        A threaded cgroup, as the entry is one, refuses ``cgroup.kill``.
        """
        if not self._may_kill or self._entering():
            return False
        try:
            cgroupfs.write(f"{self._beneath}/cgroup.kill", b"1")
        except OSError:
            return False
        return True

    def remove(self) -> bool:
        """Remove it, if no process is in it; tell whether it is gone, or its owner's to remove."""
        self._ended = True
        deserted = cgroupfs.is_deserted(os.path.basename(self.name))
        gone = super().remove() if deserted else not cgroupfs.is_populated(self.name)
        if gone:
            self._let_go()
        return gone

    def abandon(self) -> None:
        """Leave it as it is, unless its tree was ended: looking changes nothing."""
        self._let_go()
        if self._ended:
            super().abandon()

    def _let_go(self) -> None:
        """Close the descriptor, which a cycle of references could keep."""
        self._beneath = self.name
        self._close()

    def _inside(self) -> set[int]:
        """Return the processes in here and in cgroups below."""
        paths = cgroupfs.below(self._beneath)
        found = (cgroupfs.numbers(f"{path}/cgroup.procs") for path in paths)
        return {int(pid) for pids in found for pid in pids}

    def _entering(self) -> set[int]:
        """Return the processes of the threads that a dead owner left in its entry."""
        if not cgroupfs.is_deserted(os.path.basename(self.name)):
            return set()
        threads = [
            int(tid)
            for entry in self._entries
            for tid in cgroupfs.numbers(f"{entry}/cgroup.threads")
        ]
        return {pid for pid in map(procfs.leader_of, threads) if pid is not None}


def _name_of(owner: ProcessIdentity) -> tuple[str, int, int, int]:
    """Return what the names of an owner's cgroups are made of, in our pid namespace."""
    namespace = procfs.namespace("self") or 0
    return ((owner.boot_id or "")[:8], namespace, owner.pid, owner.start or 0)
