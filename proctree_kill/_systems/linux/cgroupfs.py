"""Where the cgroups of version 2 are (cgroups(7)), and whether we may make others there."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..contract import UnavailableError
from . import procfs

CGROUPS = os.path.exists("/proc/self/cgroup")
"""Whether this kernel has cgroups; else session and marker keep a tree together."""
HOME = "-home"
"""Ends the name of the cgroup that an owner moves itself into; see :class:`Place`."""
ENTRY = "-entry"
"""Ends the name of the threaded cgroup through which one tree is born."""
OLD_ENTRY = "-door"
"""Its name in release 0.1.0, which empties what is so named, whoever is inside."""
_NAME = re.compile(
    r"proctree-([0-9a-f]{8})-([0-9]+)-([0-9]+)-([0-9]+)(?:-[0-9a-f]+)?(?:-home|-entry|-door)?"
)
_OCTAL = re.compile(r"\\([0-7]{3})")


class Place(NamedTuple):
    """The cgroup below which an owner's trees get theirs.

    Args:
        folder: its directory.
        root: whether it is the root of the hierarchy, which alone may hold processes, cgroups and
            threaded cgroups side by side.
            Elsewhere the owner moves into one more cgroup first, and has its doors there.
    """

    folder: str
    root: bool

    @property
    def home(self) -> str:
        """Return the directory in which the owner lives while it starts trees."""
        return self.folder if self.root else f"{self.folder}/{owner_name()}{HOME}"


def find(mountinfo: str, membership: str) -> str:
    """Return the directory of a process's cgroup.

    Args:
        mountinfo: ``/proc/self/mountinfo`` (proc_pid_mountinfo(5)).
        membership: ``/proc/self/cgroup``; version 2 is the line that begins with ``0::``.

    Raises:
        UnavailableError: there is none, or it cannot be seen from here.
    """
    lines = [line[3:] for line in membership.splitlines() if line.startswith("0::")]
    mounts = list(filter(None, map(_mount, mountinfo.splitlines())))
    if not lines or not mounts:
        text = "no cgroup of version 2 is mounted"
        raise UnavailableError(text)
    path = lines[0].removesuffix(" (deleted)")
    for root, point in mounts:
        below = os.path.relpath(path, root)
        if below == ".." or below.startswith("../") or "/.." in path:
            continue
        return os.path.normpath(os.path.join(point, below))
    text = f"the cgroup of this process, {path}, cannot be seen from here"
    raise UnavailableError(text)


def _mount(line: str) -> tuple[str, str] | None:
    """Return which part of version 2 a line has mounted, and where."""
    fields, _, source = line.partition(" - ")
    if not source.startswith("cgroup2 "):
        return None
    root, point = (_OCTAL.sub(lambda one: chr(int(one[1], 8)), one) for one in fields.split()[3:5])
    return root, point


def folder_of(pid: int | str) -> str:
    """Return the directory of the cgroup that a process is in.

    Raises:
        UnavailableError: there is none, or it cannot be seen from here.
    """
    mountinfo = procfs.read("/proc/self/mountinfo").decode(errors="surrogateescape")
    membership = procfs.read(f"/proc/{pid}/cgroup").decode(errors="surrogateescape")
    return find(mountinfo, membership)


def above_ours(folder: str) -> str:
    """Return where a process was before it moved itself into its home, or into an entry below."""
    while owner_of(name := os.path.basename(folder)) and name.endswith((HOME, ENTRY)):
        folder = os.path.dirname(folder)
    return folder


def devices() -> set[int]:
    """Return the devices of the mounts of version 2: what a directory of a cgroup is on."""
    lines = procfs.read("/proc/self/mountinfo").decode(errors="surrogateescape").splitlines()
    ours = [line.split()[2] for line in lines if line.partition(" - ")[2].startswith("cgroup2 ")]
    return {os.makedev(*map(int, device.split(":"))) for device in ours}


def look() -> Place:
    """Find out where this process may make cgroups; nothing is made.

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
    return Place(folder, root=not kind)


def _denial(folder: str) -> str:
    """Say why a cgroup is not ours to use."""
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

    It is made of the boot, the pid namespace, the pid and the start in clock ticks.
    """
    found = procfs.stat("self")
    start = found.start if found else 0
    boot, namespace = procfs.boot_id() or "", procfs.namespace("self") or 0
    return f"proctree-{boot[:8]}-{namespace}-{os.getpid()}-{start}"


def owner_of(name: str) -> tuple[str, int, int, int] | None:
    """Return boot, pid namespace, pid and start of the owner in a name, None in a stranger's."""
    found = _NAME.fullmatch(name)
    return (found[1], int(found[2]), int(found[3]), int(found[4])) if found else None


def is_deserted(name: str) -> bool:
    """Tell whether a cgroup is one of ours and its owner is known to be dead."""
    if (owner := owner_of(name)) is None:
        return False
    boot, namespace, pid, start = owner
    if boot != (procfs.boot_id() or boot)[:8]:
        return True
    if namespace != procfs.namespace("self"):  # its numbers are none of ours
        return False
    if (found := procfs.stat(pid)) is not None:
        return found.start != start or (found.state == b"Z" and found.threads <= 1)
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

    Those of another pid namespace are listed as 0, and are nobody's here.
    """
    try:
        return [one for one in procfs.read(path).split() if one != b"0"]
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.EOPNOTSUPP):
            return []
        raise


def is_populated(folder: str) -> bool:
    """Tell whether a process lives in a cgroup or below it; in one that is gone nobody does."""
    try:
        return b"populated 1" in procfs.read(f"{folder}/cgroup.events")
    except OSError as error:
        if error.errno == errno.ENODEV:  # removed meanwhile
            return False
        raise


def below(folder: str) -> list[str]:
    """List the directories of a cgroup and of all below it, the deepest first."""
    return [path for path, _, _ in os.walk(folder, topdown=False)]


def remove(folder: str) -> bool:
    """Remove a cgroup and all below it where nobody lives in them; tell whether it is gone."""
    if is_populated(folder):
        return False
    for path in below(folder):
        try:
            os.rmdir(path)
        except FileNotFoundError:  # somebody else removed it
            continue
        except OSError:  # somebody came in
            return False
    return True


def sweep(folder: str) -> None:
    """Remove what owners left that are dead; what still lives in there is not touched."""
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        if is_deserted(name):
            if name.endswith(HOME):
                sweep(path)
            if name.endswith((ENTRY, OLD_ENTRY)):  # it was frozen when its owner died
                with contextlib.suppress(OSError):
                    write(f"{path}/cgroup.freeze", b"0")
            if not any(map(is_populated, entries(path))):  # a recovery needs the one for the other
                remove(path)


def entries(folder: str) -> list[str]:
    """Return where the entry of a tree's cgroup may be, by the release that made it."""
    parent, name = os.path.split(folder)
    home = f"{parent}/{name.rpartition('-')[0]}{HOME}"
    return [f"{above}/{name}{end}" for above in (parent, home) for end in (ENTRY, OLD_ENTRY)]
