"""The CPU that a tree has used until now."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

import psutil

from .._engine.kill import look
from .._engine.spare import sparing
from .._systems import current
from .._systems.contract import UnavailableError
from .._systems.member import ANY_KEPT, Member, identity_of
from .idle import CpuReading, IdleClock

if TYPE_CHECKING:
    from .._engine.spare import Spare
    from .._engine.target import Contained

_log = logging.getLogger("proctree_kill")

LOOK_TIME = 1.0  # seconds that a look may take; in a storm it could take many


class TreeCpu:
    """Reads the CPU of a tree: from its cell, if it has one, and from members outside of it.

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
            used = self._used_by_members()
        except OSError as error:
            _log.warning("the CPU of a tree cannot be read, so that it counts as busy: %s", error)
            used = None
        reading = CpuReading(time.monotonic(), used)
        return reading if used is None else self.sample(reading)

    def _used_by_members(self) -> Mapping[Hashable, float] | None:
        """Read the members that no cell sums up; None if the CPU of one is unknown."""
        aim = self._tree.aim()._replace(spared=self._spared)
        summed = ANY_KEPT if self._spared is None else 0
        found: dict[Hashable, float] = {}
        with current() as system:
            tree = look(system, aim, system.now() + LOOK_TIME)
            for member in tree.members:
                if member.spared is None and not summed & member.evidence:
                    if (used := cpu_of(member)) is None:
                        return None
                    found[identity_of(member)] = used
            return found if tree.sure else None

    def sample(self, reading: CpuReading) -> CpuReading:
        """Bring the figures of the cell in a reading up to date; without a cell, return it."""
        cells = self._tree.aim().cells
        if self._spared is not None or not cells:
            return reading
        try:
            usages = {cell.name: cell.usage() for cell in cells}
        except (OSError, UnavailableError):
            return reading._replace(used=None)
        used: dict[Hashable, float] = {name: sum(usage[:2]) for name, usage in usages.items()}
        return CpuReading(time.monotonic(), {**(reading.used or {}), **used})


def idle_clock(tree: Contained, timeout: float, spare: Spare | None) -> IdleClock:
    """Start the idle clock of a tree that has just started.

    Args:
        tree: the tree.
        timeout: seconds, more than 0.
        spare: its processes that do not count.
    """
    cpu = TreeCpu(tree, spare)
    return IdleClock(timeout, cpu.read, time.monotonic(), cpu.sample)


def cpu_of(member: Member) -> float | None:
    """Return the CPU seconds of a member and of the children that it reaped; None if unknown."""
    try:
        times = psutil.Process(member.pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system + times.children_user + times.children_system)
