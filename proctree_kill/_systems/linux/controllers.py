"""The controllers of cgroups of version 2, which limit what a tree uses.

https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..contract import UnavailableError
from . import cgroupfs, procfs
from .cgroupfs import ParentCgroup

CONTROLLERS = {"memory": "memory", "processes": "pids", "cpu": "cpu"}
"""The controller of each limit."""
PERIOD = 100_000  # microseconds, in which a tree may use its share of the processors
NO_LIMIT = "max"
NAMED = 5
"""At most so many processes are named in an error."""
ALONE = "start the program in a cgroup of its own: systemd-run --user --scope -p Delegate=yes"


def limit(folder: str, limits: Mapping[str, float | None]) -> None:
    """Limit what the processes of a tree's cgroup use; all limits are written, or none is.

    Args:
        folder: the directory of the cgroup; its parent is the owner's to make cgroups in.
        limits: by name; None lifts a limit.

    Raises:
        UnavailableError: the kernel cannot limit that here.
    """
    enable(os.path.dirname(folder), [name for name, value in limits.items() if value is not None])
    with contextlib.ExitStack() as undo:
        for name, value in limits.items():
            for file, text in _requests(name, value):
                path = f"{folder}/{file}"
                try:
                    before = procfs.read(path)
                    cgroupfs.write(path, text.encode())
                except FileNotFoundError as error:
                    if file != "memory.swap.max":  # this kernel has no swap, or does not count it
                        raise UnavailableError(_missing_file(name, path)) from error
                except OSError as error:
                    reason = f"{path} does not take {text!r}: {error.strerror}"
                    raise UnavailableError(_cannot(name, reason)) from error
                else:
                    undo.callback(_restore, path, before)
        undo.pop_all()


def _restore(path: str, before: bytes) -> None:
    with contextlib.suppress(OSError):
        cgroupfs.write(path, before)


def lift_cpu(folder: str) -> None:
    """Let the processes of a cgroup use the processors freely, so that they can die."""
    with contextlib.suppress(OSError):
        cgroupfs.write(f"{folder}/cpu.max", NO_LIMIT.encode())


def enable(parent: str, names: Iterable[str]) -> None:
    """Enable the controllers of some limits for the cgroups in a directory; none is ever disabled.

    Raises:
        UnavailableError: it has them not, or the kernel refuses, for processes in it as a rule.
    """
    path = f"{parent}/cgroup.subtree_control"
    try:
        enabled = _enabled(parent)
        wanted = [name for name in names if CONTROLLERS[name] not in enabled]
        if missing := [reason for name in wanted if (reason := why_missing(parent, name))]:
            raise UnavailableError("; ".join(missing))
        if wanted:
            request = " ".join(f"+{CONTROLLERS[name]}" for name in wanted)
            cgroupfs.write(path, request.encode())
    except OSError as error:
        reason = error.strerror or ""
        if error.errno == errno.EBUSY:
            reason = why_busy(parent) or reason
        elif error.errno in (errno.EACCES, errno.EPERM):
            reason = f"{path} is not delegated to this user"
        raise UnavailableError(_cannot(" and ".join(names), reason)) from error


def why_not(parent: ParentCgroup, name: str) -> str | None:
    """Tell why a limit cannot be had; None if it can. Nothing is changed."""
    if CONTROLLERS[name] in _enabled(parent.folder):
        return None
    if reason := why_missing(parent.folder, name):
        return reason
    busy = None if parent.is_root else why_busy(parent.folder)
    return busy and _cannot(name, busy)


def why_missing(parent: str, name: str) -> str | None:
    """Tell why a cgroup has no controller for a limit, and where it is; None if it has it."""
    controller = CONTROLLERS[name]
    if _offers(parent, controller):
        return None
    with contextlib.suppress(UnavailableError):
        place = cgroupfs.folder_of("self", controller)
        return _cannot(name, f"the controller {controller!r} is on cgroup version 1, at {place}")
    above = parent
    while os.path.exists(f"{(above := os.path.dirname(above))}/cgroup.controllers"):
        if _offers(above, controller):
            reason = f"{above}/cgroup.subtree_control does not pass on the controller"
            return _cannot(name, f"{reason} {controller!r}")
    return _cannot(name, f"no cgroup above {parent} has the controller {controller!r}")


def why_busy(parent: str) -> str | None:
    """Tell which processes keep controllers from a cgroup; None if there is none.

    The kernel enables none where processes are beside cgroups (no internal processes).
    """
    strangers = [int(pid) for pid in cgroupfs.numbers(f"{parent}/cgroup.procs")]
    named = [_named(pid) for pid in strangers if pid != os.getpid()]
    if not named:
        return None
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return f"processes of others are in {parent}: {', '.join(named[:NAMED])}{more}; {ALONE}"


def _named(pid: int) -> str:
    found = procfs.stat(pid)
    return str(pid) if found is None else f"{pid} ({found.name})"


def _enabled(folder: str) -> list[str]:
    return procfs.read(f"{folder}/cgroup.subtree_control").decode().split()


def _offers(folder: str, controller: str) -> bool:
    return controller in procfs.read(f"{folder}/cgroup.controllers").decode().split()


def _requests(name: str, value: float | None) -> list[tuple[str, str]]:
    """Return what is written to which file, in this order."""
    number = NO_LIMIT if value is None else f"{value:.0f}"
    if name == "processes":
        return [("pids.max", number)]
    if name == "cpu":
        quota = NO_LIMIT if value is None else f"{value * PERIOD:.0f}"
        return [("cpu.max", f"{quota} {PERIOD}")]
    # A tree that went on in the swap would have no bound, and half of a tree no use.
    swap, group = (NO_LIMIT, "0") if value is None else ("0", "1")
    return [("memory.oom.group", group), ("memory.swap.max", swap), ("memory.max", number)]


def _missing_file(name: str, path: str) -> str:
    (folder, file), controller = os.path.split(path), CONTROLLERS[name]
    if not os.path.exists(folder):
        return _cannot(name, f"the cgroup {folder} is gone")
    if _offers(folder, controller):
        return _cannot(name, f"this kernel has no {file}")
    control = f"{os.path.dirname(folder)}/cgroup.subtree_control"
    return _cannot(name, f"{control} does not pass on the controller {controller!r}")


def _cannot(name: str, reason: str) -> str:
    return f"{name} cannot be limited: {reason}"
