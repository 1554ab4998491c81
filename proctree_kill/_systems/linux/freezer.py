"""The freezer of cgroups of version 1: what it has frozen dies of SIGKILL only once it is thawed.

https://docs.kernel.org/admin-guide/cgroup-v1/freezer-subsystem.html
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..contract import UnavailableError
from . import cgroupfs, procfs


def folder_of(pid: int) -> str | None:
    """Return the directory of the cgroup that freezes a process; None where none does."""
    found = procfs.stat(pid)
    if found is None or found.state != b"D":  # so a frozen process is shown
        return None
    with suppress(UnavailableError):
        folder = cgroupfs.folder_of(pid, "freezer")
        if _read(folder, "state") in (b"FREEZING", b"FROZEN"):
            return folder
    return None


def is_frozen(folder: str) -> bool:
    """Whether all processes in a cgroup are frozen; none is in fork(2) then."""
    return _read(folder, "state") == b"FROZEN"


def thaw(folder: str, pids: Collection[int]) -> bool:
    """Thaw a cgroup if that lets none but these processes run; return whether it did.

    A cgroup is frozen as well by each that it is in.
    """
    freezing = list(_freezing(folder))
    if not freezing or any(procs - {*pids} for procs in map(_pids, freezing)):
        return False
    for path in freezing:
        with suppress(OSError):  # removed meanwhile, or it may not be written to
            cgroupfs.write(f"{path}/freezer.state", b"THAWED")
    return _read(folder, "state") in (b"THAWED", b"")


def _freezing(folder: str) -> Iterator[str]:
    """Yield this cgroup and those that it is in, as far as they freeze by themselves."""
    while state := _read(folder, "self_freezing"):  # the root of the hierarchy has none
        if state == b"1":
            yield folder
        folder = os.path.dirname(folder)


def _pids(folder: str) -> set[int]:
    """List the processes in a cgroup and below; one of another pid namespace is 0."""
    lists = (procfs.read(f"{path}/cgroup.procs") for path in cgroupfs.below(folder))
    return {int(pid) for pids in lists for pid in pids.split()}


def _read(folder: str, name: str) -> bytes:
    return procfs.read(f"{folder}/freezer.{name}").strip()
