"""What a tree used: by its cells, else by what its members told when they were looked at."""

from __future__ import annotations

from .._models.usage import Usage
from .._systems.contract import Cell, CellUsage, CpuSeconds, UnavailableError
from .._systems.member import ANY_KEPT, ROOT
from .tree import Tree


def of(tree: Tree) -> Usage | None:
    """Return what a tree used; None where neither a cell nor a member told."""
    system, aim = tree.system, tree.aim
    cells = [found for found in map(_read, aim.cells) if found is not None]
    outside = tree.members
    if cells:  # which hold no zombie
        inside = tree.dead.union(m for m in tree.members if m.evidence & ANY_KEPT)
        outside = [member for member in tree.members if member not in inside]
    roots = {root.pid for root in tree.roots if root.evidence & ROOT}
    parts: list[CellUsage | CpuSeconds | None] = [*cells, system.cpu_used(outside)]
    parts += [cpu for pid, cpu in aim.spent.items() if pid not in roots]
    told = [part for part in parts if part is not None]
    if not told:
        return None
    peaks = [cell.peak_memory for cell in cells]
    known = [peak for peak in peaks if peak is not None]
    is_known = bool(cells) and len(known) == len(aim.cells)
    memory = system.memory_used(outside if is_known else tree.together)
    return Usage(
        user=sum(part.user for part in told),
        system=sum(part.system for part in told),
        peak_memory=sum(known) + (memory or 0) if is_known else memory,
        processes=max(sum(cell.processes or 0 for cell in cells), len(tree.together), 1),
        out_of_memory=any(cell.out_of_memory for cell in cells),
        complete=is_known
        and not (outside or aim.spent)
        and all(cell.is_whole for cell in aim.cells),
    )


def merged(old: Usage | None, new: Usage | None) -> Usage | None:
    """Return all that is known after another look; a sum misses what died since the last one."""
    if old is None or new is None:
        return new or old
    peaks = [usage.peak_memory for usage in (old, new) if usage.peak_memory is not None]
    return Usage(
        user=max(old.user, new.user),
        system=max(old.system, new.system),
        peak_memory=max(peaks, default=None),
        processes=max(old.processes, new.processes),
        out_of_memory=old.out_of_memory or new.out_of_memory,
        complete=new.complete,
    )


def _read(cell: Cell) -> CellUsage | None:
    try:
        return cell.usage()
    except (OSError, UnavailableError):
        return None
