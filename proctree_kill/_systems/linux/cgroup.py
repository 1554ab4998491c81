"""A cgroup of version 2 around one tree, which no process in it can leave unseen."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Self

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..contract import Cell, CellUsage, CpuSeconds, UnavailableError
from . import cgroupfs, controllers, pidfd, procfs
from .cgroupfs import ENTRY_SUFFIX, ParentCgroup

if TYPE_CHECKING:
    from ..._models.limits import Limits

ROUNDS_BEFORE_FREEZE = 4
"""How often an entry cgroup is emptied before it is frozen, because its processes fork faster."""

_parents: dict[int, ParentCgroup] = {}
"""Where this process makes cgroups, by its pid: a fork is another owner."""
_moving = threading.Lock()
"""Held while this process moves itself: that would move another thread out of its entry."""
_abandoned: set[TreeCgroup] = set()
"""Cgroups without an object, in which processes lived still."""


class TreeCgroup(Cell):
    """The cgroup of one tree.

    A process is born in the cgroup of the *thread* that starts it. So that thread enters a
    threaded cgroup alone, the entry cgroup, starts the root and leaves again; what was born there
    is moved into the tree's cgroup. No descendant is ever born outside, and vfork is kept
    (``docs/design.md`` has the figures).
    Only the owner moves processes; listing and killing write nowhere else.

    Attributes:
        name: its directory.
    """

    kind = "cgroup"

    def __init__(self, folder: str, owner_folder: str, entries: Sequence[str]) -> None:
        """Stand for a cgroup that exists; :meth:`make` makes one."""
        self.name = folder
        self._owner_folder = owner_folder
        self._entries = entries
        self._maker = os.getpid()
        self._limited: Collection[str] = ()
        self._used_at_birth = CpuSeconds(0.0, 0.0)  # in the entry
        self._counts_memory = True

    @classmethod
    def make(cls) -> Self:
        """Make one for a tree of this process.

        Raises:
            UnavailableError: this process may make none.
        """
        if not pidfd.supported():
            text = (
                "there are no pidfds, which distinguish a process from the next owner of its number"
            )
            raise UnavailableError(text)
        parent = _parent()
        _remove_abandoned()
        name = f"{cgroupfs.owner_name()}-{secrets.token_hex(4)}"
        folder, owner_folder = f"{parent.folder}/{name}", parent.owner_folder
        try:
            os.mkdir(folder)
            made = cls(folder, owner_folder, [f"{owner_folder}/{name}{ENTRY_SUFFIX}"])
            if not os.path.exists(f"{folder}/cgroup.kill"):
                made.remove()
                text = "the kernel has no cgroup.kill (Linux 5.14)"
                raise UnavailableError(text)
        except OSError as error:
            _parents.clear()
            text = f"no cgroup can be made in {parent.folder}: {error.strerror}"
            raise UnavailableError(text) from error
        return made

    @contextlib.contextmanager
    def spawning(self, do: Callable[[Callable[[], None]], None]) -> Iterator[None]:
        """Have what this thread starts inside the block born in here.

        Args:
            do: runs an act to its end, whatever a signal handler raises meanwhile.

        Raises:
            OSError: the kernel does not let this thread in, before anything was started;
                or what was born there cannot be moved into the tree's cgroup.
        """
        (folder,) = self._entries
        # A limit of this tree or of another may enable the controller later.
        self._counts_memory = os.path.exists(f"{self.name}/memory.max")
        os.mkdir(folder)
        try:
            cgroupfs.write(f"{folder}/cgroup.type", b"threaded")
            with _EntryCgroup(folder, self._owner_folder, self.name) as entry:
                begun = time.thread_time()
                try:
                    entry.enter()
                    yield
                finally:  # also where the block raises, or an interrupt came right after entering
                    try:
                        entry.leave()
                        do(entry.empty)
                    except BaseException:  # of a signal handler, before that had begun
                        entry.leave()
                        do(entry.empty)
                        raise
                self._used_at_birth = _less(cgroupfs.cpu(folder), time.thread_time() - begun)
        finally:
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def adopt(self, pid: int) -> None:
        """Move a process in that was born outside; its children stay where they are.

        Check afterwards that the number is still its own; else call :meth:`move_back`.

        Raises:
            OSError: it is gone, or the kernel refuses.
        """
        cgroupfs.write(f"{self.name}/cgroup.procs", b"%d" % pid)

    def move_back(self, pid: int) -> None:
        """Move a process that was adopted by mistake to where its parent is.

        Raises:
            OSError: the kernel refuses.
        """
        _move_to_parent(pid, self.name)

    def pids(self) -> list[int]:
        """List the processes in here and in cgroups below."""
        return cgroupfs.pids_below(self.name)

    def limit(self, limits: Limits) -> None:
        """Limit what the processes in here use together; None lifts a limit that was set here.

        Raises:
            UnavailableError: the kernel cannot limit that here; nothing is changed.
        """
        controllers.limit(self.name, {**dict.fromkeys(self._limited), **limits.given})
        self._limited = limits.given

    def kill(self) -> bool:
        """Kill every process in here at once; return whether the kernel accepted it."""
        if "cpu" in self._limited:  # the dying need the processor as well
            controllers.lift_cpu(self.name)
        return cgroupfs.kill(self.name)

    def usage(self) -> CellUsage:
        """Return what the processes in here used, those in cgroups below included."""
        found, (user, system) = cgroupfs.usage(self.name), self._used_at_birth
        return found._replace(
            user=found.user + user,
            system=found.system + system,
            peak_memory=found.peak_memory if self._counts_memory else None,
        )

    def remove(self) -> bool:
        """Remove it if it is empty; return whether it is gone."""
        if os.getpid() != self._maker:
            return False
        gone = [cgroupfs.remove(folder) for folder in (*self._entries, self.name)]
        return all(gone)

    def abandon(self) -> None:
        """Remove it now, when another one is made, or at exit."""
        _abandoned.add(self)
        with contextlib.suppress(OSError):  # without a free descriptor it cannot be looked at
            if self.remove():
                _abandoned.discard(self)


class _EntryCgroup:
    """The entry cgroup while one thread starts a root in it.

    Its files are opened before: leaving must not fail for want of a descriptor.
    """

    def __init__(self, folder: str, owner_folder: str, tree_folder: str) -> None:
        """Open the files of the entry, of the owner's cgroup and of the tree's.

        Raises:
            OSError: the kernel does not let this process write to one of them.
        """
        self._folder, self._tree_folder = folder, tree_folder
        with contextlib.ExitStack() as stack:
            self._threads = _open(stack, f"{folder}/cgroup.threads", os.O_RDWR)
            self._owner_threads = _open(stack, f"{owner_folder}/cgroup.threads", os.O_WRONLY)
            self._tree_procs = _open(stack, f"{tree_folder}/cgroup.procs", os.O_WRONLY)
            self._opened = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def enter(self) -> None:
        """Move the calling thread in."""
        os.write(self._threads, b"0")

    def leave(self) -> None:
        """Move the calling thread to the owner's cgroup; that needs no ``/proc``."""
        os.write(self._owner_threads, b"0")

    def empty(self) -> None:
        """Move this process's threads to the owner's cgroup, all else to the tree's.

        A signal handler may have started such a thread. None of ours is in a frozen entry.
        """
        rounds = 0
        while inside := self._listed():
            ours = set(os.listdir(b"/proc/self/task")).intersection(inside)
            for tid in ours:
                with contextlib.suppress(ProcessLookupError):
                    os.write(self._owner_threads, tid)
            if ours:
                continue
            if rounds == ROUNDS_BEFORE_FREEZE:
                cgroupfs.write(f"{self._folder}/cgroup.freeze", b"1")
            for tid in inside:
                self._move(tid)
            rounds += 1

    def _move(self, tid: bytes) -> None:
        """Move the process of a thread to the tree's cgroup, if it is that process to the end."""
        pid = int(tid)
        if (fd := pidfd.open(pid)) is None:  # a thread that is not its leader
            leader = procfs.leader_of(pid)
            if leader is None or (fd := pidfd.open(leader)) is None:
                return
            pid = leader
        try:
            if tid in self._listed() and (pid == int(tid) or procfs.leader_of(int(tid)) == pid):
                with contextlib.suppress(ProcessLookupError):
                    os.write(self._tree_procs, b"%d" % pid)
                if pidfd.readable([fd], 0):  # dead, so another process may have its number
                    _move_to_parent(pid, self._tree_folder)
        finally:
            os.close(fd)

    def _listed(self) -> list[bytes]:
        """Read the threads in the entry; a process of another pid namespace is listed as 0."""
        data = b""
        while part := os.pread(self._threads, 1 << 16, len(data)):
            data += part
        return [tid for tid in data.split() if tid != b"0"]


def _less(used: CpuSeconds, ours: float) -> CpuSeconds:
    """Return what the processes in an entry used, without the thread of this process."""
    theirs = max(sum(used) - ours, 0.0)
    return CpuSeconds(user := min(used.user, theirs), theirs - user)


def _open(stack: contextlib.ExitStack, path: str, flags: int) -> int:
    fd = os.open(path, flags | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd


def _move_to_parent(pid: int, folder: str) -> None:
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
    for cgroup in [*_abandoned]:
        if cgroup.remove():
            _abandoned.discard(cgroup)


def _parent() -> ParentCgroup:
    """Return where this process makes its cgroups; the first call sweeps it and moves in.

    Raises:
        UnavailableError: nowhere.
    """
    pid = os.getpid()
    with _moving:
        if (parent := _parents.get(pid)) is None:
            parent = cgroupfs.find_parent()
            try:
                if not parent.is_root:
                    _move_in(parent)  # out of the cgroup of an earlier program, which is swept
                cgroupfs.sweep(parent.folder)
            except OSError as error:
                text = f"this process cannot move below {parent.folder}: {error.strerror}"
                raise UnavailableError(text) from error
            _parents.clear()
            _parents[pid] = parent
    return parent


def _renew_lock() -> None:
    """Give a forked child a lock that no thread of its parent holds."""
    global _moving  # noqa: PLW0603 - the one of this process
    _moving = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def _move_in(parent: ParentCgroup) -> None:
    """Move this process into the owner's cgroup.

    Not if it is there or below: its threads may be in entries.

    Raises:
        OSError: the kernel refuses.
    """
    folder = parent.owner_folder
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)
    if not f"{cgroupfs.folder_of('self')}/".startswith(f"{folder}/"):
        cgroupfs.write(f"{folder}/cgroup.procs", b"0")
    atexit.unregister(_move_out)
    atexit.register(_move_out)


def _move_out() -> None:
    """Move this process back to where it was, and remove the owner's cgroup; at its exit."""
    parent = _parents.pop(os.getpid(), None)
    if parent is not None and not parent.is_root:
        with contextlib.suppress(OSError):
            cgroupfs.write(f"{parent.folder}/cgroup.procs", b"0")
            cgroupfs.remove(parent.owner_folder)


def tidy() -> None:
    """Leave the cgroup of the dead owner that started this process, and sweep beside it."""
    with contextlib.suppress(OSError, UnavailableError):
        folder = cgroupfs.find_parent().folder
        with contextlib.suppress(OSError):  # EBUSY once limits were enabled there
            cgroupfs.write(f"{folder}/cgroup.procs", b"0")
        cgroupfs.sweep(folder)
