"""A cgroup of version 2 around one tree, which nobody in it can leave unseen."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, Self

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..contract import UnavailableError
from . import cgroupfs, pidfd, procfs
from .cgroupfs import ENTRY, Place

PATIENT_ROUNDS = 4
"""How often an entry is emptied before it is frozen, because its processes fork faster."""

_places: dict[int, Place] = {}
"""Where this process makes cgroups, by its number: a fork is another owner."""


_placing = threading.Lock()
"""Held while this process moves itself, or another thread would be moved out of its entry."""
_abandoned: set[TreeCgroup] = set()
"""Leaves of objects that are gone while processes lived in them."""


class TreeCgroup:
    """The cgroup of one tree.

    A process is born in the cgroup of the *thread* that starts it. So that thread enters a
    threaded cgroup alone, starts the root and leaves again; what was born there is moved into
    the leaf. No descendant is ever born outside, and vfork is kept (``docs/design.md`` has the
    figures). Only the owner moves processes; listing and killing write nowhere else.

    Attributes:
        kind: which evidence its members are of.
        name: its directory.
        creation_flags: none.
        dies_with_owner: never.
    """

    kind: Literal["cgroup", "job"] = "cgroup"
    creation_flags = 0
    dies_with_owner = False  # that is the guard's work

    def __init__(self, folder: str, home: str, entries: Sequence[str]) -> None:
        """Stand for a cgroup that exists; :meth:`make` is the way to it."""
        self.name = folder
        self._home = home
        self._entries = entries
        self._maker = os.getpid()

    @classmethod
    def make(cls) -> Self:
        """Make one for a tree of this process.

        Raises:
            UnavailableError: this process may make none.
        """
        if not pidfd.supported():
            text = "there are no pidfds, which tell a process from the next owner of its number"
            raise UnavailableError(text)
        place = _place()
        _remove_abandoned()
        name = f"{cgroupfs.owner_name()}-{secrets.token_hex(4)}"
        folder = f"{place.folder}/{name}"
        try:
            os.mkdir(folder)
            leaf = cls(folder, place.home, [f"{place.home}/{name}{ENTRY}"])
            if not os.path.exists(f"{folder}/cgroup.kill"):
                leaf.remove()
                text = "the kernel has no cgroup.kill (Linux 5.14)"
                raise UnavailableError(text)
        except OSError as error:
            _places.clear()
            text = f"no cgroup can be made in {place.folder}: {error.strerror}"
            raise UnavailableError(text) from error
        return leaf

    @contextlib.contextmanager
    def spawning(self, do: Callable[[Callable[[], None]], None]) -> Iterator[None]:
        """Have what this thread starts inside the block born in here.

        Args:
            do: runs an act to its end, whatever a signal handler raises meanwhile.

        Raises:
            OSError: before anything ran, the kernel does not let this thread in;
                or after it, what was born there cannot be moved into the leaf.
        """
        (entry,) = self._entries
        os.mkdir(entry)
        try:
            cgroupfs.write(f"{entry}/cgroup.type", b"threaded")
            with _Passage(entry, self._home, self.name) as passage:
                try:
                    passage.enter()
                    yield
                finally:  # also where the block raises, or an interrupt came right after entering
                    try:
                        passage.leave()
                        do(passage.clear)
                    except BaseException:  # of a handler, before that has begun
                        passage.leave()
                        do(passage.clear)
                        raise
        finally:
            with contextlib.suppress(OSError):
                os.rmdir(entry)

    def adopt(self, pid: int) -> None:
        """Move a process in here that was born outside; its children stay where they are.

        The number must still be that process's afterwards; else :meth:`expel` what has it now.

        Raises:
            OSError: it is gone, or the kernel refuses.
        """
        cgroupfs.write(f"{self.name}/cgroup.procs", b"%d" % pid)

    def expel(self, pid: int) -> None:
        """Move a process out that was moved in by mistake, to where its parent is.

        Raises:
            OSError: the kernel refuses.
        """
        expel(pid, self.name)

    def start(self, pid: int) -> None:
        """Do nothing: what is born in here runs."""

    def pids(self) -> list[int]:
        """List what lives in here, in cgroups below included."""
        paths = cgroupfs.below(self.name)
        found = (cgroupfs.numbers(f"{path}/cgroup.procs") for path in paths)
        return [int(pid) for numbers in found for pid in numbers]

    def kill(self) -> bool:
        """Kill every process in here at once; tell whether the kernel took the order."""
        try:
            cgroupfs.write(f"{self.name}/cgroup.kill", b"1")
        except OSError:
            return False
        return True

    def remove(self) -> bool:
        """Remove it, if nothing lives in it; tell whether it is gone."""
        if os.getpid() != self._maker:
            return False
        gone = [cgroupfs.remove(folder) for folder in (*self._entries, self.name)]
        return all(gone)

    def abandon(self) -> None:
        """Remove it now, or when another one is made, or at exit."""
        _abandoned.add(self)  # first: without a free descriptor it cannot be looked at
        if self.remove():
            _abandoned.discard(self)


class _Passage:
    """The way of one thread into an entry and out again; what that needs is opened before."""

    def __init__(self, entry: str, home: str, leaf: str) -> None:
        """Open the files of the entry, of its owner's cgroup and of the leaf.

        Raises:
            OSError: the kernel does not let this process write to one of them.
        """
        self._entry, self._leaf_folder = entry, leaf
        with contextlib.ExitStack() as stack:
            self._inside = _open(stack, f"{entry}/cgroup.threads", os.O_RDWR)
            self._home = _open(stack, f"{home}/cgroup.threads", os.O_WRONLY)
            self._leaf = _open(stack, f"{leaf}/cgroup.procs", os.O_WRONLY)
            self._opened = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def enter(self) -> None:
        """Move the calling thread into the entry."""
        os.write(self._inside, b"0")

    def leave(self) -> None:
        """Move the calling thread home; that needs no ``/proc``."""
        os.write(self._home, b"0")

    def clear(self) -> None:
        """Move the threads of this process home, and every other process into the leaf.

        A signal handler may have started such a thread. None is inside while the entry is frozen.
        """
        rounds = 0
        while inside := self._listed():
            ours = set(os.listdir(b"/proc/self/task")).intersection(inside)
            for tid in ours:
                with contextlib.suppress(ProcessLookupError):
                    os.write(self._home, tid)
            if ours:
                continue
            if rounds == PATIENT_ROUNDS:
                cgroupfs.write(f"{self._entry}/cgroup.freeze", b"1")
            for tid in inside:
                self._move(tid)
            rounds += 1

    def _move(self, tid: bytes) -> None:
        """Move the process of a thread into the leaf, if it is that process to the end."""
        pid = int(tid)
        if (fd := pidfd.open(pid)) is None:  # a thread that is not its leader
            leader = procfs.leader_of(pid)
            if leader is None or (fd := pidfd.open(leader)) is None:
                return
            pid = leader
        try:
            if tid in self._listed() and (pid == int(tid) or procfs.leader_of(int(tid)) == pid):
                with contextlib.suppress(ProcessLookupError):
                    os.write(self._leaf, b"%d" % pid)
                if pidfd.readable([fd], 0):  # dead, so another process may have its number
                    expel(pid, self._leaf_folder)
        finally:
            os.close(fd)

    def _listed(self) -> list[bytes]:
        """Read the threads in the entry; a process of another pid namespace is listed as 0."""
        data = b""
        while part := os.pread(self._inside, 1 << 16, len(data)):
            data += part
        return [tid for tid in data.split() if tid != b"0"]


def _open(stack: contextlib.ExitStack, path: str, flags: int) -> int:
    """Open a file that is closed with the others."""
    fd = os.open(path, flags | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd


def expel(pid: int, folder: str) -> None:
    """Move the process that has a number now out of a cgroup, to where its parent is.

    Its number was another process's, which was to be moved in and is dead.

    Raises:
        OSError: the kernel refuses.
    """
    with contextlib.suppress(ProcessLookupError, UnavailableError):
        found = procfs.stat(pid)
        if found and found.state != b"Z" and cgroupfs.folder_of(pid) == folder:
            cgroupfs.write(f"{cgroupfs.folder_of(found.ppid)}/cgroup.procs", b"%d" % pid)


@atexit.register
def _remove_abandoned() -> None:
    """Remove what was abandoned, where nobody lives any more."""
    for leaf in [*_abandoned]:
        if leaf.remove():
            _abandoned.discard(leaf)


def _place() -> Place:
    """Return where this process makes its cgroups; once, sweep there and move in.

    Raises:
        UnavailableError: nowhere.
    """
    pid = os.getpid()
    with _placing:
        if (place := _places.get(pid)) is None:
            place = cgroupfs.look()
            try:
                cgroupfs.sweep(place.folder)
                if not place.root:
                    _move_in(place)
            except OSError as error:
                text = f"this process cannot move below {place.folder}: {error.strerror}"
                raise UnavailableError(text) from error
            _places.clear()
            _places[pid] = place
    return place


def _renew_lock() -> None:
    """Give a forked child a lock that no thread of its parent holds."""
    global _placing  # noqa: PLW0603 - the one of this process
    _placing = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def _move_in(place: Place) -> None:
    """Move this process into its home, unless it is there: its threads may be in entries below.

    Raises:
        OSError: the kernel refuses.
    """
    home = place.home
    with contextlib.suppress(FileExistsError):
        os.mkdir(home)
    if not f"{cgroupfs.folder_of('self')}/".startswith(f"{home}/"):
        cgroupfs.write(f"{home}/cgroup.procs", b"0")
    atexit.unregister(leave_home)
    atexit.register(leave_home)


def tidy() -> None:
    """Sweep where this process could make cgroups, after moving out of its dead owner's home."""
    with contextlib.suppress(OSError, UnavailableError):
        folder = cgroupfs.look().folder
        cgroupfs.write(f"{folder}/cgroup.procs", b"0")
        cgroupfs.sweep(folder)


def leave_home() -> None:
    """Move this process back to where it was, and remove its home; at its exit."""
    place = _places.pop(os.getpid(), None)
    if place is not None and not place.root:
        with contextlib.suppress(OSError):
            cgroupfs.write(f"{place.folder}/cgroup.procs", b"0")
            cgroupfs.remove(place.home)
