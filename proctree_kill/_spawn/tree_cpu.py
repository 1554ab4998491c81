"""The CPU that a tree has used until now."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

from .._engine.kill import look
from .._engine.spare import sparing
from .._systems import current
from .._systems.contract import UnavailableError
from .._systems.member import ANY_KEPT, identity_of
from .idle import CpuReading, IdleClock

if TYPE_CHECKING:
    from .._engine.spare import Spare
    from .._engine.target import Contained

_log = logging.getLogger("proctree_kill")

LOOK_TIME = 1.0  # seconds that a look may take; in a storm it could take many


class TreeCpu:
    """Reads the CPU of a tree: from its cell, if that tells, and from members outside of it.

    With spared processes, which do not count, it is read from each other member instead.
    """

    def __init__(self, tree: Contained, spare: Spare | None) -> None:
        """Read nothing yet."""
        self._tree = tree
        self._spared = sparing(spare)

    def read(self) -> CpuReading:
        """Look at the tree, and read all that it has used; without a free descriptor, nothing.

        Raises:
            TargetRefusedError: the tree must not be touched by this process.
        """
        try:
            return self._read()
        except OSError as error:
            _log.warning("the CPU of a tree cannot be read, so that it counts as busy: %s", error)
            return CpuReading(time.monotonic(), None)

    def sample(self, reading: CpuReading) -> CpuReading:
        """Bring the figures of the cell in a reading up to date; without a cell, return it."""
        try:
            cells = self._cells()
        except OSError:
            return reading._replace(used=None)
        if not cells:
            return reading
        return reading._replace(at=time.monotonic(), used={**(reading.used or {}), **cells})

    def _read(self) -> CpuReading:
        cells = self._cells()
        summed = ANY_KEPT if cells else 0
        aim = self._tree.aim()._replace(spared=self._spared)
        used: dict[Hashable, float] = dict(cells)
        with current() as system:
            tree = look(system, aim, system.now() + LOOK_TIME)
            is_known = tree.sure
            counted = [m for m in tree.members if m.spared is None and not summed & m.evidence]
            for member in [*counted, *system.zombies_of(counted)]:
                seconds = system.cpu_used([member])
                is_known = is_known and seconds is not None
                used[identity_of(member)] = sum(seconds or ())
        exact = bool(cells) or system.sums_reaped
        return CpuReading(time.monotonic(), used if is_known else None, exact)

    def _cells(self) -> Mapping[Hashable, float]:
        """Return the CPU seconds of the cells, by name; nothing where they do not tell all."""
        if self._spared is not None:
            return {}
        try:
            usages = {cell.name: cell.usage() for cell in self._tree.aim().cells}
        except UnavailableError:
            return {}
        return {name: usage.user + usage.system for name, usage in usages.items()}


def idle_clock(tree: Contained, timeout: float, spare: Spare | None) -> IdleClock:
    """Start the idle clock of a tree that has just started.

    Args:
        tree: the tree.
        timeout: seconds, more than 0.
        spare: its processes that do not count.
    """
    import psutil  # noqa: F401, PLC0415 - slow; now, for a look may have no descriptor for it

    cpu = TreeCpu(tree, spare)
    return IdleClock(timeout, cpu.read, time.monotonic(), cpu.sample)
