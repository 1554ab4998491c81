"""The numbers of processes, as a caller passes them."""

from __future__ import annotations

from typing import Protocol

from .._models.errors import TargetRefusedError

LARGEST_PID = 2**32 - 1  # Windows' are 32 bits wide; other systems have smaller ones


class HasPid(Protocol):
    """Anything that names a process by an integer ``pid``."""

    @property
    def pid(self) -> int | None:
        """The number; None while it is not started."""


def started_pid(process: object) -> int:
    """Return the number of a process by the object that stands for it.

    Raises:
        TypeError: it is no such object.
        ValueError: it is not started, or its number is no process's.
    """
    if not hasattr(process, "pid"):
        text = f"a target must be a pid or have one, not {type(process).__name__} ({process!r})"
        raise TypeError(text)
    if process.pid is None:
        text = f"{process!r} has no pid: it is not started"
        raise ValueError(text)
    return check_pid(process.pid)


def check_pid(pid: object) -> int:
    """Return a number that may be a process's.

    Raises:
        TypeError: it is no integer.
        TargetRefusedError: no process has such a number (zero and less mean groups).
    """
    if isinstance(pid, bool) or not isinstance(pid, int):
        text = f"a pid must be an int, not {type(pid).__name__} ({pid!r})"
        if isinstance(pid, str):
            text += "; only the command line takes a name or :PORT"
        raise TypeError(text)
    if not 0 < pid <= LARGEST_PID:
        raise TargetRefusedError(pid, f"the numbers of processes are from 1 to {LARGEST_PID}")
    return pid
