"""The systems, and the only place that asks which one this is.

What may be assumed of each is said in :mod:`.contract`:
members are bound to processes, answers are values, waiting ends at a time.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if sys.platform == "linux":  # now: where no descriptor is left, nothing can be imported
    from .linux import cgroup, procfs, recorded_cgroup
    from .linux import system as linux_system
    from .posix import file_owner
elif sys.platform == "win32":
    from .windows import file_owner as windows_file_owner
    from .windows import job
    from .windows import system as windows_system
else:
    from .posix import file_owner
    from .posix import system as posix_system
from .contract import UnavailableError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from .._models.identity import ProcessIdentity
    from .contract import Cell, Offer, System, Terminal, Trust


HELPER_TIMEOUT = 5.0
"""Seconds that an external helper may take where nobody says more."""


def current(helper_timeout: float = HELPER_TIMEOUT) -> System:
    """Return a new view of this system, for one kill.

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
    """Make what the kernel keeps a tree together in.

    Args:
        dies_with_owner: whether its members shall die with this process, where it can do that.

    Raises:
        UnavailableError: this process may have none here.
    """
    if sys.platform == "linux":
        return cgroup.TreeCgroup.make()
    if sys.platform == "win32":
        return job.TreeJob.make(dies_with_owner=dies_with_owner)
    text = "this system has nothing like a cgroup or a job object"
    raise UnavailableError(text)


def recorded_cell(name: str, owner: ProcessIdentity | None, uid: int | None) -> Cell | None:
    """Find what another process made, which may be dead by now; None where it is none of ours.

    Args:
        name: under which it was known.
        owner: the process that must have made it; None: any.
        uid: with whose rights alone it may be acted upon; None: with ours.
    """
    if sys.platform == "linux":
        return recorded_cgroup.RecordedCgroup.find(name, owner, uid)
    return None


def tidy_cells() -> None:
    """Remove what this process and dead owners left that holds nobody; at the guard's end."""
    if sys.platform == "linux":
        cgroup.tidy()


def trust(fd: int | None, found: os.stat_result) -> Trust:
    """Say with whose rights a file speaks.

    Args:
        fd: the open file; None where it cannot be opened.
        found: what was found of it.
    """
    if sys.platform == "win32":
        return windows_file_owner.trust(fd)
    else:  # noqa: RET505 - so that type checkers see one of them only
        return file_owner.trust(found)


def offers() -> Iterable[Offer]:
    """Return what this system offers, and why it does not."""
    if sys.platform == "linux":
        from .linux.offers import offers  # noqa: PLC0415 - the others' modules do not load here

        return offers()
    from .contract import Offer  # noqa: PLC0415 - few need it

    if sys.platform == "win32":
        return [Offer("handles", "processes are held, and with them their numbers", available=True)]
    text = "this system has none; start times tell processes apart"
    return [Offer("pidfd", text, available=False)]


def terminal() -> Terminal:
    """Return the terminal of this process, to be entered."""
    if sys.platform != "win32":
        from .posix.terminal import Tty  # noqa: PLC0415 - the others' modules do not load here

        return Tty()
    from .windows.console import ConsoleTerminal  # noqa: PLC0415 - as above

    return ConsoleTerminal()
