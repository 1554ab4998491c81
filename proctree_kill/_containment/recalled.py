"""A tree that another process contained, by what is on record of it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence

from .._engine.spare import sparing
from .._engine.target import Aim, Claim, Contained
from .._models.identity import ProcessIdentity
from .._systems import recorded_cell
from .._systems.contract import Cell


class RecalledTree(Contained):
    """A tree that another process contained, which may be dead by now; a target."""

    def __init__(
        self,
        marker: str,
        identity: ProcessIdentity | None = None,
        cgroup: str | None = None,
        *,
        owner: ProcessIdentity | None = None,
        uid: int | None = None,
        ownerless: bool = False,
        spare: Sequence[str] = (),
    ) -> None:
        """Look for its cgroup.

        Args:
            marker: the marker of that tree.
            identity: its root, where it is known.
            cgroup: the folder of its own cgroup, where it had one; one that this library did not
                make is not touched.
            owner: the process that contained it, which is not touched if it lives, and must have
                made the cgroup; None: any.
            uid: the user with whose rights alone the tree is ended: the real uid of each of its
                processes; None: with ours.
            ownerless: whether its owner runs another program now, which knows nothing of it.
            spare: names and markers of processes that are left alone.

        Raises:
            OSError: the cgroup cannot be looked at, for want of descriptors or memory.
        """
        self._marker = marker
        self._identity = identity
        self._owner = owner
        self._uid = uid
        self._ownerless = ownerless
        self._spare = spare
        self._cell: Cell | None = None if cgroup is None else recorded_cell(cgroup, owner, uid)
        if self._cell is not None:
            weakref.finalize(self, self._cell.abandon)

    def aim(self) -> Aim:
        """Name the root, and the marker, which an orphan of any process may carry."""
        root = self._identity
        return Aim(
            [] if root is None else [Claim(root.pid, root, command=True)],
            markers=[os.fsencode(self._marker)],
            everywhere=True,
            cells=[] if self._cell is None else [self._cell],
            ended=[self._end],
            bystanders=[] if self._owner is None else [self._owner],
            uid=self._uid,
            ownerless=self._ownerless,
            since=(root and root.start) or 0,
            spared=sparing(self._spare or None),
        )

    def _end(self, proved: bool) -> None:  # noqa: FBT001 - a callback's
        """Remove the cgroup; the dying keep it for a moment, and it goes with the next one."""
        if self._cell is not None and not self._cell.remove() and proved:
            self._cell.abandon()
