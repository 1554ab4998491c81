"""Where the cgroups of version 2 are (cgroups(7)), and whether we may make others there."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..contract import CellUsage, CpuSeconds, UnavailableError
from . import procfs
from .image import addresses

CGROUPS = os.path.exists("/proc/self/cgroup")
"""Whether this kernel has cgroups."""
OWNER_SUFFIX = "-home"
"""Ends the name of the cgroup that an owner moves itself into; see :class:`ParentCgroup`."""
ENTRY_SUFFIX = "-entry"
"""Ends the name of the threaded cgroup through which one tree is born."""
OLD_ENTRY_SUFFIX = "-door"
"""The same in release 0.1.0, which empties every cgroup so named."""
_NAME = re.compile(
    r"proctree-([0-9a-f]{8})-([0-9]+)-([0-9]+)-([0-9]+)(?:\.([0-9a-f]{8}))?"
    r"(?:-[0-9a-f]+)?(?:-home|-entry|-door)?"
)
_OCTAL = re.compile(r"\\([0-7]{3})")


class ParentCgroup(NamedTuple):
    """The cgroup below which an owner's trees get theirs.

    Args:
        folder: its directory.
        is_root: whether it is the root of the hierarchy, which alone may hold processes, cgroups
            and threaded cgroups side by side. Elsewhere the owner moves into one more cgroup
            first, the owner's cgroup, and has its entries there.
    """

    folder: str
    is_root: bool

    @property
    def owner_folder(self) -> str:
        """Return the directory of the owner's cgroup."""
        return self.folder if self.is_root else f"{self.folder}/{owner_name()}{OWNER_SUFFIX}"


def find(mountinfo: str, membership: str, controller: str = "") -> str:
    """Return the directory of a process's cgroup.

    Args:
        mountinfo: ``/proc/self/mountinfo`` (proc_pid_mountinfo(5)).
        membership: ``/proc/self/cgroup``; version 2 is the line that names no controller.
        controller: of version 1; "" for version 2.

    Raises:
        UnavailableError: there is none, or it cannot be seen from here.
    """
    lines = [line.split(":", 2) for line in membership.splitlines()]
    paths = [path for _, names, path in lines if controller in names.split(",")]
    mounts = [found for line in mountinfo.splitlines() if (found := _mount(line, controller))]
    if not paths or not mounts:
        text = f"no cgroup of version {1 if controller else 2} is mounted"
        raise UnavailableError(text)
    path = paths[0].removesuffix(" (deleted)")
    for root, point in mounts:
        below = os.path.relpath(path, root)
        if below == ".." or below.startswith("../") or "/.." in path:
            continue
        return os.path.normpath(os.path.join(point, below))
    text = f"the cgroup of this process, {path}, cannot be seen from here"
    raise UnavailableError(text)


def _mount(line: str, controller: str) -> tuple[str, str] | None:
    """Return which directory a line of mountinfo has mounted, and where."""
    fields, _, source = line.partition(" - ")
    kind, _, options = source.partition(" ")
    if kind != ("cgroup" if controller else "cgroup2"):
        return None
    if controller and controller not in options.split()[-1].split(","):
        return None
    root, point = (
        _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), path) for path in fields.split()[3:5]
    )
    return root, point


def folder_of(pid: int | str, controller: str = "") -> str:
    """Return the directory of the cgroup that a process is in; of version 2 without a controller.

    Raises:
        UnavailableError: there is none, or it cannot be seen from here.
    """
    mountinfo = procfs.read("/proc/self/mountinfo").decode(errors="surrogateescape")
    membership = procfs.read(f"/proc/{pid}/cgroup").decode(errors="surrogateescape")
    return find(mountinfo, membership, controller)


def above_ours(folder: str) -> str:
    """Return where a process was before it moved into an owner's cgroup or an entry below."""
    while owner_of(name := os.path.basename(folder)) and name.endswith(
        (OWNER_SUFFIX, ENTRY_SUFFIX)
    ):
        folder = os.path.dirname(folder)
    return folder


def devices() -> set[int]:
    """Return the devices of the mounts of version 2: every cgroup's directory is on one."""
    lines = procfs.read("/proc/self/mountinfo").decode(errors="surrogateescape").splitlines()
    ours = [line.split()[2] for line in lines if line.partition(" - ")[2].startswith("cgroup2 ")]
    return {os.makedev(*map(int, device.split(":"))) for device in ours}


def find_parent() -> ParentCgroup:
    """Find where this process may make cgroups; nothing is made.

    Raises:
        UnavailableError: nowhere.
    """
    if not CGROUPS:
        text = "this kernel has no cgroups"
        raise UnavailableError(text)
    folder = above_ours(folder_of("self"))
    kind = procfs.read(f"{folder}/cgroup.type").strip()  # the root of the hierarchy has no type
    if kind not in (b"", b"domain"):
        text = f"the cgroup {folder} is of the type {kind.decode()!r}"
        raise UnavailableError(text)
    # A move needs write access to the cgroup.procs of the common ancestor (cgroups(7), delegation).
    for path in (folder, f"{folder}/cgroup.procs", f"{folder}/cgroup.threads"):
        if not os.access(path, os.W_OK, effective_ids=True):
            raise UnavailableError(_denial(folder))
    return ParentCgroup(folder, is_root=not kind)


def _denial(folder: str) -> str:
    if not os.path.isdir(folder):
        return f"the cgroup {folder} does not exist"
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return f"the cgroup {folder} is mounted read-only"
    return (
        f"the cgroup {folder} is not delegated to this user; "
        "a scope of systemd's is: systemd-run --user --scope COMMAND"
    )


def owner_name() -> str:
    """Return the name of this process, which begins those of its cgroups.

    It is made of the boot, the pid namespace, the pid, the start in clock ticks, and the program
    that it runs, where that is known.
    """
    found = procfs.stat("self")
    start = found.start if found else 0
    boot, namespace = procfs.boot_id() or "", procfs.namespace("self") or 0
    program = addresses(os.getpid())
    ran = "" if program is None else f".{program[:8]}"
    return f"proctree-{boot[:8]}-{namespace}-{os.getpid()}-{start}{ran}"


def owner_of(name: str) -> tuple[str, int, int, int] | None:
    """Return boot, pid namespace, pid and start of the owner in a cgroup's name, or None."""
    found = _NAME.fullmatch(name)
    return (found[1], int(found[2]), int(found[3]), int(found[4])) if found else None


def is_deserted(name: str) -> bool:
    """Whether a cgroup is one of the library's and its owner is known to be dead, or replaced."""
    if (match := _NAME.fullmatch(name)) is None:
        return False
    boot, *numbers, ran = match.groups()
    namespace, pid, start = map(int, numbers)
    if boot != (procfs.boot_id() or boot)[:8]:
        return True
    if namespace != procfs.namespace("self"):  # its numbers mean other processes here
        return False
    if (found := procfs.stat(pid)) is not None:
        if found.start != start or (found.state == b"Z" and found.threads <= 1):
            return True
        runs = addresses(pid) if ran else None
        return runs is not None and not runs.startswith(ran)
    return not procfs.is_taken(pid)  # one that /proc does not show, perhaps


def write(path: str, text: bytes) -> None:
    """Write one request to a file of a cgroup; a buffered write would swallow the refusal.

    Raises:
        OSError: the kernel refuses.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


def numbers(path: str) -> list[bytes]:
    """Read the processes or threads of a cgroup; none where it is gone or of a threaded type.

    Those of another pid namespace are listed as 0, and left out.
    """
    try:
        return [number for number in procfs.read(path).split() if number != b"0"]
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.EOPNOTSUPP):
            return []
        raise


def pids_below(folder: str) -> list[int]:
    """List the processes in a cgroup and in all below it."""
    found = (numbers(f"{path}/cgroup.procs") for path in below(folder))
    return [int(pid) for pids in found for pid in pids]


def kill(folder: str) -> bool:
    """Kill every process in a cgroup and below it; return whether the kernel accepted it."""
    try:
        write(f"{folder}/cgroup.kill", b"1")
    except OSError:
        return False
    return True


def is_populated(folder: str) -> bool:
    """Whether a process lives in a cgroup or below it."""
    try:
        return b"populated 1" in procfs.read(f"{folder}/cgroup.events")
    except OSError as error:
        if error.errno == errno.ENODEV:  # removed meanwhile
            return False
        raise


def usage(folder: str) -> CellUsage:
    """Return what the processes in a cgroup and below used.

    Raises:
        OSError: it is gone.
    """
    used = cpu(folder)
    events = _counts(f"{folder}/memory.events")
    kills = events.get(b"oom_kill", 0) + events.get(b"oom_group_kill", 0)
    return CellUsage(
        *used,
        _number(f"{folder}/memory.peak"),  # Linux 5.19
        _number(f"{folder}/pids.peak"),  # Linux 6.8
        kills > 0 if events else None,
    )


def cpu(folder: str) -> CpuSeconds:
    """Return the CPU that the processes in a cgroup and below used; that needs no controller.

    Raises:
        OSError: it is gone.
    """
    if not (found := _counts(f"{folder}/cpu.stat")):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
    return CpuSeconds(found[b"user_usec"] / 1e6, found[b"system_usec"] / 1e6)


def _counts(path: str) -> dict[bytes, int]:
    """Read a file of names and numbers; nothing where there is none."""
    fields = procfs.read(path).split()
    return dict(zip(fields[::2], map(int, fields[1::2]), strict=True))


def _number(path: str) -> int | None:
    return int(data) if (data := procfs.read(path)) else None


def below(folder: str) -> list[str]:
    """List the directories of a cgroup and of all below it, the deepest first."""
    return [path for path, _, _ in os.walk(folder, topdown=False)]


def remove(folder: str) -> bool:
    """Remove a cgroup and all below it if they are empty; return whether it is gone."""
    if is_populated(folder):
        return False
    for path in below(folder):
        try:
            os.rmdir(path)
        except FileNotFoundError:  # another process removed it
            continue
        except OSError:  # a process came in
            return False
    return True


def sweep(folder: str) -> None:
    """Remove the empty cgroups of dead owners."""
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        if is_deserted(name):
            if name.endswith(OWNER_SUFFIX):
                sweep(path)
            # Its owner may have died while it was frozen.
            if name.endswith((ENTRY_SUFFIX, OLD_ENTRY_SUFFIX)):
                with contextlib.suppress(OSError):
                    write(f"{path}/cgroup.freeze", b"0")
            if not any(map(is_populated, entries(path))):  # a recovery finds an entry by its tree
                remove(path)


def entries(folder: str) -> list[str]:
    """Return where the entry of a tree's cgroup may be, by the release that made it."""
    parent, name = os.path.split(folder)
    owner_folder = f"{parent}/{name.rpartition('-')[0]}{OWNER_SUFFIX}"
    return [
        f"{above}/{name}{suffix}"
        for above in (parent, owner_folder)
        for suffix in (ENTRY_SUFFIX, OLD_ENTRY_SUFFIX)
    ]
