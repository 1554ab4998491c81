"""What Linux offers to whoever ends trees, each looked at by itself."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..contract import Offer, UnavailableError
from . import cgroupfs, pidfd, procfs
from . import system as linux_system


def offers() -> Iterator[Offer]:
    """Yield what there is, and why it is not there."""
    yield _descriptors()
    yield _inodes()
    yield _children()
    yield _namespace()
    yield from _cgroups()
    yield from _limits()


def _descriptors() -> Offer:
    """Look for pidfd_open(2) and pidfd_send_signal(2)."""
    if pidfd.supported() and not pidfd.signals():
        why = "numbers are signalled: a seccomp filter forbids pidfd_send_signal"
        return Offer("pidfd", f"processes are held by descriptors, but {why}", available=True)
    if pidfd.supported():
        return Offer("pidfd", "processes are held by descriptors", available=True)
    why = "Linux before 5.3, a seccomp filter, or a Python that was built without it"
    return Offer("pidfd", f"start ticks are compared before each signal: {why}", available=False)


def _inodes() -> Offer:
    """Look whether a descriptor has an inode of its own (Linux 6.9)."""
    inode = None
    if pidfd.supported() and (fd := pidfd.open(os.getpid())) is not None:
        try:
            inode = pidfd.inode(fd)
        finally:
            os.close(fd)
    if inode is None:
        return Offer("pidfd inode", "identities are start ticks: Linux before 6.9", available=False)
    return Offer("pidfd inode", "identities are unique for the boot", available=True)


def _children() -> Offer:
    """Look for CONFIG_PROC_CHILDREN."""
    if linux_system.CHILDREN_FILE:
        return Offer("children file", "cost follows the tree", available=True)
    return Offer(
        "children file", "everybody's parent is read: no CONFIG_PROC_CHILDREN", available=False
    )


def _namespace() -> Offer:
    """Look whether all processes of this pid namespace can be seen."""
    if not procfs.usable():
        why = "it is not mounted, or another pid namespace's: no tree can be looked for"
        return Offer("/proc", why, available=False)
    if procfs.stat(1) is not None:
        return Offer("/proc", "other users' processes are visible", available=True)
    return Offer("/proc", "other users' processes are hidden (hidepid)", available=False)


def _cgroups() -> Iterator[Offer]:
    """Look for version 2, and whether this user may make cgroups."""
    mountinfo = procfs.read("/proc/self/mountinfo").decode(errors="surrogateescape")
    membership = procfs.read("/proc/self/cgroup").decode(errors="surrogateescape")
    try:
        folder = cgroupfs.find(mountinfo, membership)
    except UnavailableError as error:
        yield Offer("cgroup v2", str(error), available=False)
        return
    yield Offer("cgroup v2", f"this process is in {folder}", available=True)
    try:
        parent = cgroupfs.find_parent()
    except UnavailableError as error:
        yield Offer("delegation", str(error), available=False)
        return
    where = "the root of the hierarchy" if parent.is_root else "a subtree; this process moves aside"
    yield Offer("delegation", f"cgroups may be made here: {where}", available=True)


def _limits() -> Iterator[Offer]:
    """Read how many descriptors and processes there may be; both are respected, never changed."""
    for name, number in (("files", resource.RLIMIT_NOFILE), ("processes", resource.RLIMIT_NPROC)):
        soft, hard = map(_limit, resource.getrlimit(number))
        yield Offer(f"limit of {name}", f"{soft} (at most {hard})")


def _limit(number: int) -> str:
    """Say a limit."""
    return "none" if number == resource.RLIM_INFINITY else str(number)
