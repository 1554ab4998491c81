"""What a tree used of the machine."""

from __future__ import annotations

from .base import Model

OUT_OF_MEMORY = "out of memory"

_UNITS = ("B", "KiB", "MiB", "GiB")
_STEP = 1024  # of the units
_MUCH_CPU = 10.0  # seconds
_MUCH_MEMORY = 2**30  # bytes
_LONG = 10  # seconds; from here on hundredths tell nothing


class Usage(Model):
    """What a tree used of the machine.

    Where the kernel keeps the tree together (a cgroup with its memory controller, a job object),
    these are its figures. Else they are the sum of what the members told when they were looked at:
    what they use later is missing, and so are the children that were not waited for.

    Args:
        user: CPU seconds in programs.
        system: CPU seconds in the kernel on their behalf.
        peak_memory: the bytes that the tree had at most; None if unknown. In a sum, memory that
            several members share counts for each.
        processes: how many there were at one time, as far as seen; on Linux 6.8 and later, with
            the pids controller, each thread counts.
        out_of_memory: whether the kernel ended a process of the tree, or refused it memory,
            because of a limit or because the machine had none left, as far as known.
        complete: whether CPU and memory are the kernel's figures for the whole tree from its start.
    """

    user: float
    system: float
    peak_memory: int | None = None
    processes: int
    out_of_memory: bool = False
    complete: bool = False

    @property
    def cpu(self) -> float:
        """The CPU seconds in all."""
        return self.user + self.system

    def __str__(self) -> str:
        seconds = f"{self.cpu:,.1f}" if self.cpu >= _LONG else f"{self.cpu:.2f}"
        parts = [f"{seconds} s CPU"]
        if self.peak_memory is not None:
            parts.append(f"{_size(self.peak_memory)} at most")
        parts.append(f"{self.processes:,} process{'' if self.processes == 1 else 'es'}")
        if self.out_of_memory:
            parts.append(OUT_OF_MEMORY)
        return ", ".join(parts)


def remarks(usage: Usage | None) -> list[str]:
    """Return what must be said of it wherever a result is shown in one line."""
    return [OUT_OF_MEMORY] if usage is not None and usage.out_of_memory else []


def note(usage: Usage | None) -> list[str]:
    """Return it as text if the tree used much."""
    if usage is None:
        return []
    memory = usage.peak_memory if usage.complete else None  # a sum counts what is shared for each
    if usage.cpu < _MUCH_CPU and (memory or 0) < _MUCH_MEMORY:
        return []
    return [f"it used {usage.model_copy(update={'out_of_memory': False})}"]


def _size(count: float) -> str:
    """Return a number of bytes as text."""
    unit, *larger = _UNITS
    while larger and count >= _STEP:
        count /= _STEP
        unit, *larger = larger
    return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
