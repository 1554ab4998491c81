"""A cgroup v2 around a planted tree, so that not even a storm outlives its test."""

from __future__ import annotations

import functools
import gc
import os
import select
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Self

from .times import BOUND

PREFIX = "proctree-test-"


class ScratchCgroup:
    """A new, empty cgroup below that of this process."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path = path

    @classmethod
    def make(cls) -> Self | None:
        """Make one where this process may, or return None."""
        parent = usable_cgroup()
        return cls(parent / new_name()) if parent else None

    def open_procs(self) -> int:
        """Open ``cgroup.procs``: a process that writes ``0`` to it is inside."""
        return os.open(self.path / "cgroup.procs", os.O_WRONLY)

    def kill(self) -> None:
        """Kill every process inside at once."""
        (self.path / "cgroup.kill").write_text("1")

    def is_empty(self, within: float) -> bool:
        """Whether every process inside is dead, at the latest after ``within`` seconds."""
        return is_empty(self.path, within)

    def remove(self) -> None:
        self.path.rmdir()

    def can_hold_and_kill(self) -> bool:
        """Whether a process may move in here and be killed here (Linux 5.14)."""
        if not (self.path / "cgroup.kill").exists():
            return False
        pid = os.fork()
        if not pid:
            with suppress(OSError):
                os.write(self.open_procs(), b"0")
                os._exit(0)
            os._exit(1)
        _, status = os.waitpid(pid, 0)
        return status == 0 and self.is_empty(BOUND)


@functools.cache
def usable_cgroup() -> Path | None:
    """Return the cgroup of this process if we may make others in it, enter them and kill there."""
    parent = own_cgroup()
    if parent is None:
        return None
    try:
        cgroup = ScratchCgroup(parent / new_name())
    except OSError:
        return None
    try:
        return parent if cgroup.can_hold_and_kill() else None
    finally:
        cgroup.remove()


def can_limit() -> bool:
    """Whether cgroups that are made beside this process have the controllers of all limits."""
    parent = usable_cgroup()
    if parent is None:
        return False
    passed_on = (parent / "cgroup.subtree_control").read_text().split()
    return {"memory", "pids", "cpu"} <= {*passed_on}


def is_empty(cgroup: Path, within: float) -> bool:
    """Whether no process lives in a cgroup, at the latest after ``within`` seconds."""
    deadline = time.monotonic() + within
    with (cgroup / "cgroup.events").open() as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while "populated 0" not in events.read():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poll.poll(left * 1000)
            events.seek(0)
    return True


def new_name() -> str:
    """Return a name for a cgroup of ours."""
    return f"{PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}"


def own_left() -> list[Path]:
    """Return the scratch cgroups of this process that are still there."""
    parent = own_cgroup()
    return list(parent.glob(f"{PREFIX}{os.getpid()}-*")) if parent else []


def library_left() -> list[Path]:
    """Return the cgroups that the library made for this process and that are still there."""
    parent = own_cgroup()
    if parent is None:
        return []
    from proctree_kill._systems.linux.cgroupfs import owner_name  # noqa: PLC0415 - Linux has it

    ours = f"{owner_name()}-*"
    if list(parent.glob(ours)):
        gc.collect()  # removes those of objects without a reference
    return list(parent.glob(ours))


def own_cgroup() -> Path | None:
    """Return the directory of this process's cgroup v2, or None where none is mounted."""
    mount = _mount_point() if hasattr(os, "fork") else None  # Wine shows the host's /proc
    if mount is None:
        return None
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    path = next(line[3:] for line in lines if line.startswith("0::"))
    return mount / path.lstrip("/")


def _mount_point() -> Path | None:
    """Find where cgroup v2 is mounted (proc_pid_mountinfo(5)): under v1 it has a folder too."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except FileNotFoundError:
        return None
    for mount in mounts:
        fields, _, source = mount.partition(" - ")
        if source.startswith("cgroup2 "):
            return Path(fields.split()[4])
    return None
