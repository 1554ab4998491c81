"""The kernel's cell of one tree: a cgroup or a job object, from its making to its end."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Literal

from .._engine.kill import look
from .._engine.target import Aim
from .._models.errors import ContainmentError
from .._models.limits import LimitChanges, Limits
from .._running import threads
from .._systems import cell
from .._systems.contract import Cell, System, UnavailableError
from .._systems.member import ANY_KEPT
from .guard import KILL_ON_PARENT_EXIT

if TYPE_CHECKING:
    from typing import Unpack

MOVED = "the root was moved there after its start: what it had lost by then may be outside"
LIMITS = "limits"
SWEEPS = 5
"""How often members outside the cell are looked for; each sweep moves all that it finds."""


class TreeCell:
    """The kernel's cell of one tree, and whether its root was started in it.

    Attributes:
        kernel: the cell; None while the tree has none.
        notes: why the tree has none, or how its root got in late.
        limits: what the tree may use.
    """

    def __init__(self, requested: str, limits: Limits) -> None:
        """Begin without a cell.

        Args:
            requested: the containment that was asked for; ``"kernel"`` insists on a cell.
            limits: what the tree may use; a limit insists on a cell as well.
        """
        self.kernel: Cell | None = None
        self.notes: tuple[str, ...] = ()
        self.limits = limits
        self._requested = requested
        self._entered = self._suspends = False
        self._limiting = threading.RLock()  # a signal handler may change limits as well

    def make(self, *, dies_with_owner: bool) -> None:
        """Make a cell, unless no more than a session was asked for.

        Raises:
            ContainmentError: one was insisted on, and this process may have none, or cannot
                limit it.
        """
        if self._requested != "session":
            try:
                self.kernel = cell(dies_with_owner=dies_with_owner)
                weakref.finalize(self, self.kernel.abandon)
                if self.limits.given:
                    self.kernel.limit(self.limits)
            except UnavailableError as error:
                self._do_without(str(error))

    def named(self, kind: Literal["cgroup", "job"]) -> str | None:
        """Return the name of the cell if it is of this kind."""
        return self.kernel.name if self.kernel is not None and self.kernel.kind == kind else None

    @contextmanager
    def spawning(self) -> Iterator[None]:
        """Have what this thread starts inside the block, with :meth:`flags`, start in the cell.

        Raises:
            ContainmentError: a cell was insisted on, and the kernel does not let this thread in.
            OSError: what started inside cannot be moved on.
        """
        with ExitStack() as stack:
            if self.kernel is not None:
                try:
                    stack.enter_context(self.kernel.spawning(threads.do))
                    self._entered = True
                except OSError as error:
                    self._do_without(f"no process can be started in {self.kernel.name}: {error}")
            yield

    def flags(self) -> int:
        """Return Windows' creation flags: they suspend the root until :meth:`bring_in`."""
        if self.kernel is None or not self._entered:
            return 0
        self._suspends = bool(self.kernel.creation_flags)
        return self.kernel.creation_flags

    def bring_in(self, system: System, pid: int, aim: Aim) -> None:
        """Move the root in, unless it started inside, and let it run.

        Raises:
            ContainmentError: a cell was insisted on, and the root cannot be moved in.
            OSError: it is suspended, and the system does not resume it.
        """
        kernel = self.kernel
        if kernel is None:
            return
        if self._suspends:
            try:
                kernel.adopt(pid)
            except OSError as error:
                self._do_without(f"process {pid} cannot be moved into {kernel.name}: {error}")
            kernel.start(pid)
        elif kernel.creation_flags or not self._entered:
            kernel.is_whole = False
            refused = _move_in(kernel, system, aim)
            self.notes = (*self.notes, MOVED)
            if refused and self.limits.given:
                pids = ", ".join(map(str, refused))
                text = f"processes that cannot be moved into {kernel.name} have none: {pids}"
                raise ContainmentError(LIMITS, text)

    def limit(self, **changes: Unpack[LimitChanges]) -> None:
        """Change what the tree may use.

        Raises:
            ContainmentError: this tree or this machine cannot have that; nothing is changed.
            PolicyError: a limit is wrong; nothing is changed.
        """
        with self._limiting:  # else two changes at a time could undo each other
            limits = self.limits.but(**changes)
            if limits == self.limits:
                return
            if self.kernel is None:
                reason = "; ".join(["the tree has no cgroup or job object", *self.notes])
                raise ContainmentError(LIMITS, reason)
            try:
                self.kernel.limit(limits)
            except UnavailableError as error:
                raise ContainmentError(LIMITS, str(error)) from error
            self.limits = limits

    def remove(self) -> bool:
        """Remove the cell, if no process is in it; return whether none is left."""
        return self.kernel is None or self.kernel.remove()

    def abandon(self) -> None:
        """Have the cell removed later: with the next one, or at exit."""
        if self.kernel is not None:
            self.kernel.abandon()

    def _do_without(self, reason: str) -> None:
        """Give the cell up.

        Raises:
            ContainmentError: it was insisted on, or was to limit the tree, or to end it with this
                process.
        """
        needed = self._requested if self._requested == "kernel" else None
        if self.limits.given:
            needed = LIMITS
        elif self.kernel is not None and self.kernel.dies_with_owner:
            needed = KILL_ON_PARENT_EXIT
        self.remove()
        self.kernel = None
        if needed is not None:
            raise ContainmentError(needed, reason)
        self.notes = (*self.notes, reason)


def _move_in(kernel: Cell, system: System, aim: Aim) -> list[int]:
    """Move every known member into the cell, until none is outside; return the refused pids."""
    aim = aim._replace(markers=())  # environments are not read: MOVED warns of lost daemons
    refused: list[int] = []
    for _ in range(SWEEPS):
        outside = [member for member in look(system, aim).members if not ANY_KEPT & member.evidence]
        refused.clear()
        for member in outside:
            try:
                kernel.adopt(member.pid)
                if not system.owns_number(member):  # another process has the number by now
                    kernel.move_back(member.pid)
            except ProcessLookupError:
                continue
            except OSError:
                refused.append(member.pid)
        if not outside:
            break
    return refused
