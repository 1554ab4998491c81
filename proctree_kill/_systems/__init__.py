"""The operating systems: the only place that asks which system this is.

:mod:`.contract` says what may be assumed of each.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if sys.platform == "linux":  # at once: without a free descriptor nothing can be imported later
    from .linux import cgroup, pidfd_exit, procfs, recorded_cgroup
    from .linux import system as linux_system
    from .posix import file_owner, pipes
elif sys.platform == "win32":
    from .windows import file_owner as windows_file_owner
    from .windows import job
    from .windows import pipes as windows_pipes
    from .windows import system as windows_system
else:
    from .posix import file_owner, pipes
    from .posix import system as posix_system
from .child_exit import ChildExit
from .contract import UnavailableError

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable

    from .._models.identity import ProcessIdentity
    from .contract import Cell, Listener, Offer, PipeWatcher, System, Terminal, Trust


HELPER_TIMEOUT = 5.0
"""Seconds that an external helper may take by default."""


def current(helper_timeout: float = HELPER_TIMEOUT) -> System:
    """Return this system, for one kill.

    Args:
        helper_timeout: seconds that an external helper may take; only Windows has any.
    """
    if sys.platform == "linux":
        system: System = linux_system.LinuxSystem()
    elif sys.platform == "win32":
        system = windows_system.WindowsSystem(helper_timeout)
    else:
        system = posix_system.PosixSystem()
    return system


def boot_id() -> str | None:
    """Return the id of this boot; None where start times span boots, or it cannot be read."""
    if sys.platform == "linux":
        return procfs.boot_id()
    return None


def cell(*, dies_with_owner: bool) -> Cell:
    """Make a cell for one tree.

    Args:
        dies_with_owner: whether its members die with this process (Windows only).

    Raises:
        UnavailableError: this process can have none here.
    """
    if sys.platform == "linux":
        return cgroup.TreeCgroup.make()
    if sys.platform == "win32":
        return job.TreeJob.make(dies_with_owner=dies_with_owner)
    text = "this system has nothing like a cgroup or a job object"
    raise UnavailableError(text)


def recorded_cell(name: str, owner: ProcessIdentity | None, uid: int | None) -> Cell | None:
    """Return the cell that another process made, which may be dead; None where there is none.

    Args:
        name: the name of the cell.
        owner: the process that must have made it; None: any.
        uid: the user with whose rights alone it may be acted upon; None: with ours.
    """
    if sys.platform == "linux":
        return recorded_cgroup.RecordedCgroup.find(name, owner, uid)
    return None


def tidy_cells() -> None:
    """Remove the empty cells of this process and of dead owners; at the guard's end."""
    if sys.platform == "linux":
        cgroup.tidy()


def trust(fd: int | None, found: os.stat_result) -> Trust:
    """Return whether a file may be acted upon, by its owner and mode.

    Args:
        fd: the open file; None where it cannot be opened.
        found: its status.
    """
    if sys.platform == "win32":
        return windows_file_owner.trust(fd)
    else:  # noqa: RET505 - type checkers see one branch only
        return file_owner.trust(found)


def child_exit() -> ChildExit:
    """Return what holds a child of this process until it is known how it ended."""
    if sys.platform == "linux" and linux_system.PIDFD:
        return pidfd_exit.PidfdExit()
    return ChildExit()


def offers() -> Iterable[Offer]:
    """Return the features of this system, and why some are missing."""
    if sys.platform == "linux":
        from .linux.offers import offers  # noqa: PLC0415 - other systems lack it

        return offers()
    if sys.platform == "win32":
        from .windows.offers import offers as windows_offers  # noqa: PLC0415 - as above

        return windows_offers()
    from .contract import Offer  # noqa: PLC0415 - few need it

    text = "this system has none; processes are identified by start times"
    limits = "this system cannot limit a tree"
    return [
        Offer("pidfd", text, available=False),
        *(
            Offer(f"limits: {name}", limits, available=False)
            for name in ("memory", "processes", "cpu")
        ),
    ]


def listeners(port: int, among: Collection[int] | None = None) -> list[Listener]:
    """Find the sockets that wait on a port, TCP and UDP, IPv4 and IPv6.

    Only Linux lists all holders of a socket, and the sockets of its own network namespace only.

    Args:
        port: from 1 to 65535.
        among: the processes that are looked at; None: all that are visible.
    """
    if sys.platform == "linux":
        from .linux import lookup  # noqa: PLC0415 - only the command line needs it
    else:
        from . import psutil_lookup as lookup  # noqa: PLC0415 - as above
    return lookup.listeners(port, among)


def named(name: str, among: Collection[int] | None = None) -> list[int]:
    """Find the living processes whose program has exactly this name.

    Args:
        name: of the file of the program, of its script, or as it was called.
        among: the processes that are looked at; None: all that are visible.
    """
    if sys.platform == "linux":
        from .linux import lookup  # noqa: PLC0415 - only the command line needs it
    else:
        from . import psutil_lookup as lookup  # noqa: PLC0415 - as above
    return lookup.named(name, among)


def terminal() -> Terminal:
    """Return the terminal of this process, a context manager."""
    if sys.platform != "win32":
        from .posix.terminal import PosixTerminal  # noqa: PLC0415 - other systems lack it

        return PosixTerminal()
    from .windows.terminal import ConsoleTerminal  # noqa: PLC0415 - as above

    return ConsoleTerminal()


def reads_escapes(fd: int) -> bool:
    """Whether a terminal acts on escape codes, which are switched on where that is needed."""
    if sys.platform != "win32":
        return True
    from .windows.console import switch_escapes_on  # noqa: PLC0415 - as above

    return switch_escapes_on(fd)


def is_in_front(fd: int) -> bool:
    """Whether no other job of the shell has this terminal."""
    if sys.platform == "win32":
        return True
    from .posix import terminal  # noqa: PLC0415 - few need it

    return terminal.is_in_front(fd)


def pipe_watcher() -> PipeWatcher:
    """Return what waits for the pipes of one command; to be closed."""
    if sys.platform == "win32":
        return windows_pipes.WindowsPipeWatcher()
    else:  # noqa: RET505 - so that type checkers see one of them only
        return pipes.PosixPipeWatcher()
