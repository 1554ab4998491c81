"""The CPU that a tree has used until now."""

from __future__ import annotations

import time
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from .._engine.kill import look
from .._engine.target import sparing
from .._systems import current
from .._systems.contract import Cell
from .._systems.member import ANY_KEPT, Member, identity_of
from .idle import CpuReading, IdleClock

if TYPE_CHECKING:
    from .._engine.target import Contained, Spare


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
        """Look at the tree, and read all that it has used.

        Raises:
            TargetRefusedError: the tree must not be touched by this process.
        """
        aim = self._tree.aim()._replace(spared=self._spared)
        whole = self._spared is None and bool(aim.cells)
        with current() as system:
            tree = look(system, aim, system.now() + LOOK_TIME)
            counted = [
                member
                for member in tree.members
                if member.spared is None and not (whole and ANY_KEPT & member.evidence)
            ]
            found = {identity_of(member): cpu_of(member) for member in counted}
        used: dict[Hashable, float] = {
            identity: seconds for identity, seconds in found.items() if seconds is not None
        }
        if not tree.sure or len(used) < len(found):
            return CpuReading(time.monotonic(), None)
        return self.sample(CpuReading(time.monotonic(), used))

    def sample(self, reading: CpuReading) -> CpuReading:
        """Bring the figures of the cell in a reading up to date; without a cell, return it."""
        cells = self._tree.aim().cells
        if self._spared is not None or not cells:
            return reading
        try:
            used: dict[Hashable, float] = {cell.name: cell_cpu(cell) for cell in cells}
        except OSError:
            return reading._replace(used=None)
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


def cell_cpu(cell: Cell) -> float:
    """Return the CPU seconds of a cell.

    Raises:
        OSError: it is gone, or does not tell.
    """
    lines = Path(cell.name, "cpu.stat").read_text(encoding="ascii").splitlines()
    return int(dict(map(str.split, lines))["usage_usec"]) / 1e6


def cpu_of(member: Member) -> float | None:
    """Return the CPU seconds of a member and of the children that it reaped; None if unknown."""
    try:
        times = psutil.Process(member.pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system + times.children_user + times.children_system)
