"""The cgroup of a tree that another process contained, as a record names it."""

from __future__ import annotations

import errno
import os
import sys
import weakref
from typing import TYPE_CHECKING, Self

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..._models.identity import ProcessIdentity
from ..contract import CellUsage
from . import cgroupfs, controllers, procfs
from .cgroup import TreeCgroup

_SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors that say nothing about a directory; any other means that it is no cgroup of ours."""


class RecordedCgroup(TreeCgroup):
    """A cgroup whose owner may be dead.

    Looking opens nothing for writing and changes nothing.
    Its files are reached through the descriptor of the directory that was checked.
    """

    is_whole = False  # its root may have been moved in; the record does not say it

    def __init__(self, folder: str, fd: int, uid: int | None) -> None:
        """Stand for a cgroup that was checked; :meth:`find` finds one."""
        super().__init__(folder, "", cgroupfs.entries(folder))
        self._beneath = f"/proc/self/fd/{fd}"
        self._may_kill = uid is None or os.fstat(fd).st_uid == uid
        self._ended = False
        self._close = weakref.finalize(self, os.close, fd)

    @classmethod
    def find(cls, folder: str, owner: ProcessIdentity | None, uid: int | None) -> Self | None:
        """Return the cgroup of version 2 that an owner made; None if this is none.

        Args:
            folder: its directory, which must be reached without a link.
            owner: the process whose name it must carry; None: any.
            uid: with whose rights alone it may be killed; None: with ours.

        Raises:
            OSError: there are too few descriptors or memory to look at it.
        """
        made_by = cgroupfs.owner_of(os.path.basename(folder))
        if made_by is None or (owner is not None and made_by != _name_of(owner)):
            return None
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except ValueError:  # a name that no file can have
            return None
        except OSError as error:
            if error.errno in _SHORTAGE:
                raise
            return None
        # A plain directory can have every file of a cgroup, but not its device.
        found = os.fstat(fd).st_dev in cgroupfs.devices()
        if found and os.readlink(f"/proc/self/fd/{fd}") == folder:
            return cls(folder, fd, uid)
        os.close(fd)
        return None

    def pids(self) -> list[int]:
        """List the processes in here and below, and in a dead owner's entry."""
        return list({*cgroupfs.pids_below(self._beneath), *self._entering()})

    def kill(self) -> bool:
        """Kill every process in here at once, if none is in the entry and we have the right.

        The entry is a threaded cgroup, which refuses ``cgroup.kill``.
        """
        if not self._may_kill or self._entering():
            return False
        controllers.lift_cpu(self._beneath)  # the dying need the processor as well
        return cgroupfs.kill(self._beneath)

    def usage(self) -> CellUsage:
        """Return what the processes in here used."""
        return cgroupfs.usage(self._beneath)

    def remove(self) -> bool:
        """Remove it if it is empty; return whether it is gone, or its living owner's to remove."""
        self._ended = True
        deserted = cgroupfs.is_deserted(os.path.basename(self.name))
        gone = super().remove() if deserted else not cgroupfs.is_populated(self.name)
        if gone:
            self._let_go()
        return gone

    def abandon(self) -> None:
        """Remove it as soon as it is empty if its tree was ended; else leave it as it is."""
        self._let_go()
        if self._ended:
            super().abandon()

    def _let_go(self) -> None:
        """Close the descriptor, which a cycle of references could keep."""
        self._beneath = self.name
        self._close()

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
