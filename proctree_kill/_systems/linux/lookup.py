"""Processes by the port that they listen on, and by the name of their program (proc(5))."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..contract import Listener
from . import memory, procfs

LISTENING = {"tcp": b"0A", "tcp6": b"0A", "udp": b"07", "udp6": b"07"}
"""The state of a listening socket (include/net/tcp_states.h), of an unconnected one for UDP."""
COMM_LENGTH = 15
"""The bytes of a name that the kernel keeps (TASK_COMM_LEN)."""


def listeners(port: int, among: Collection[int] | None = None) -> list[Listener]:
    """Find the sockets of this network namespace that listen on a port, and their holders."""
    found = {}
    for protocol, state in LISTENING.items():
        for line in procfs.read(f"/proc/thread-self/net/{protocol}").splitlines()[1:]:
            fields = line.split()
            if fields[3] == state and int(fields[1].rpartition(b":")[2], 16) == port:
                found[f"socket:[{int(fields[9])}]"] = (protocol, _stranger(int(fields[7])))
    holders: dict[str, list[int]] = {link: [] for link in found}
    for pid in (procfs.pids() if among is None else among) if found else ():
        for link in holders.keys() & _links(pid):
            holders[link].append(pid)
    return [Listener(*found[link], tuple(pids)) for link, pids in holders.items()]


def named(name: str, among: Collection[int] | None = None) -> list[int]:
    """Find the living processes whose program has exactly this name."""
    pids = procfs.pids() if among is None else among
    return [pid for pid in pids if name in names_of(pid)]


def names_of(pid: int) -> set[str]:
    """Return the names of a program: of its file, its script, and as it was called.

    Nothing where the process is dead or hidden, or is a kernel thread.
    """
    found = procfs.stat(pid)
    if found is None or found.flags & procfs.PF_KTHREAD:
        return set()
    if (folder := memory.with_memory(pid, found)) is None:
        return set()
    arguments = [os.path.basename(argument) for argument in memory.arguments(pid)[:3]]
    program = ""
    with contextlib.suppress(OSError):  # another user's
        program = os.path.basename(os.readlink(f"{folder}/exe").removesuffix(" (deleted)"))
    # "#!" with an option: interpreter, option, script
    longer = (name for name in (program, *arguments) if _cut(name) == found.name)
    called = "".join(arguments[:1]).removeprefix("-")  # the first character of a login shell
    return {max((found.name, *longer), key=len), program, called} - {""}


def _stranger(uid: int) -> str | None:
    return None if os.geteuid() in (0, uid) else procfs.user_name(uid)


def _links(pid: int) -> set[str]:
    """Return what the descriptors of a process lead to; nothing where that is hidden."""
    links = set(_read_links(f"/proc/{pid}/fd"))
    if not links:  # its main thread may have ended
        for task in procfs.tasks(pid):
            links.update(_read_links(f"/proc/{pid}/task/{task}/fd"))
    return links


def _read_links(folder: str) -> Iterator[str]:
    with contextlib.suppress(OSError):  # it is gone, or another user's
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):  # closed by now
                yield os.readlink(f"{folder}/{name}")


def _cut(name: str) -> str:
    return os.fsencode(name)[:COMM_LENGTH].decode(errors="replace")
