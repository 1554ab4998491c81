"""The features of this Linux machine, each checked by itself."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..contract import Offer, UnavailableError
from . import cgroupfs, controllers, pidfd, procfs
from . import system as linux_system

TREE_LIMITS = {
    "memory": "the memory of a tree can be limited; a tree that wants more is ended",
    "processes": "the processes of a tree can be limited; each thread counts",
    "cpu": "the processor time of a tree can be limited",
}


def offers() -> Iterator[Offer]:
    """Yield the features, and why some are missing."""
    yield _descriptors()
    yield _inodes()
    yield _children()
    yield _namespace()
    yield from _cgroups()
    yield from _limits()


def _descriptors() -> Offer:
    if pidfd.supported() and not pidfd.signals():
        why = "numbers are signalled: a seccomp filter forbids pidfd_send_signal"
        return Offer("pidfd", f"processes are held by descriptors, but {why}", available=True)
    if pidfd.supported():
        return Offer("pidfd", "processes are held by descriptors", available=True)
    why = "Linux before 5.3, a seccomp filter, or a Python that was built without it"
    return Offer("pidfd", f"start ticks are compared before each signal: {why}", available=False)


def _inodes() -> Offer:
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
    if linux_system.CHILDREN_FILE:
        return Offer("children file", "cost follows the tree", available=True)
    return Offer(
        "children file",
        "the parent of every process is read: no CONFIG_PROC_CHILDREN",
        available=False,
    )


def _namespace() -> Offer:
    if not procfs.usable():
        why = "it is not mounted, or of another pid namespace: no tree can be looked for"
        return Offer("/proc", why, available=False)
    if procfs.stat(1) is not None:
        return Offer("/proc", "other users' processes are visible", available=True)
    return Offer("/proc", "other users' processes are hidden (hidepid)", available=False)


def _cgroups() -> Iterator[Offer]:
    try:
        folder = cgroupfs.folder_of("self")
    except UnavailableError as error:
        yield Offer("cgroup v2", str(error), available=False)
        yield from _no_tree_limits(error)
        return
    yield Offer("cgroup v2", f"this process is in {folder}", available=True)
    try:
        parent = cgroupfs.find_parent()
    except UnavailableError as error:
        yield Offer("delegation", str(error), available=False)
        yield from _no_tree_limits(error)
        return
    where = "the root of the hierarchy" if parent.is_root else "a subtree; this process moves aside"
    yield Offer("delegation", f"cgroups may be made here: {where}", available=True)
    for name, detail in TREE_LIMITS.items():
        reason = controllers.why_not(parent, name)
        yield Offer(f"limits: {name}", reason or detail, available=reason is None)


def _no_tree_limits(error: UnavailableError) -> Iterator[Offer]:
    for name in TREE_LIMITS:
        yield Offer(f"limits: {name}", str(error), available=False)


def _limits() -> Iterator[Offer]:
    for name, number in (("files", resource.RLIMIT_NOFILE), ("processes", resource.RLIMIT_NPROC)):
        soft, hard = map(_limit, resource.getrlimit(number))
        yield Offer(f"limit of {name}", f"{soft} (at most {hard})")


def _limit(number: int) -> str:
    return "none" if number == resource.RLIM_INFINITY else str(number)
