"""Callers other than this process: with fewer rights, fewer means, or a pid namespace of their own.

Each is a fork: what it changes in itself and in the library ends with it.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from proctree_kill import KillResult, kill_tree

from .times import BOUND
from .users import Account, ordinary_user

T = TypeVar("T")

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
MS_RDONLY = 1
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A process that ends trees, with the rights and means that a test gives it.

    Args:
        name: how it appears in the names of tests.
        ordinary: whether it and what it ends have no privilege.
        pidfd: whether it uses pidfds.
        children_file: whether it uses ``/proc/PID/task/TID/children``.
        cgroup: whether it keeps what it starts in a cgroup, where it may.
        descriptors: how many descriptors it may open; None is as many as this process.
    """

    name: str
    ordinary: bool = False
    pidfd: bool = True
    children_file: bool = True
    cgroup: bool = True
    descriptors: int | None = None

    @property
    def account(self) -> Account | None:
        """Return the user that plants what this caller may end; None is ourselves."""
        return ordinary_user() if self.ordinary else None

    def kill(self, target: int, *, within: float = BOUND, **options: Any) -> KillResult:
        """Call ``kill_tree`` as this caller, which may take so many seconds."""

        def call() -> KillResult:
            if self.descriptors:
                limit_descriptors(self.descriptors)
            with self.means(), unprivileged(self.account):
                return kill_tree(target, **options)

        return apart(call, within)

    @contextmanager
    def means(self) -> Iterator[None]:
        """Take from the library what this caller does not have."""
        if not (self.pidfd and self.children_file):
            from proctree_kill._systems.linux import system as linux_system  # noqa: PLC0415 - not on every system

            linux_system.PIDFD = self.pidfd
            linux_system.CHILDREN_FILE = self.children_file
        if not self.cgroup:
            from proctree_kill._systems.linux import cgroupfs  # noqa: PLC0415 - not on every system

            cgroupfs.CGROUPS = False  # a fork has not probed yet
        yield


def apart(call: Callable[[], T], within: float = BOUND, keep: Iterable[int] = ()) -> T:
    """Call something in a forked child that has no descriptors but the standard ones.

    What it returns or raises comes back through a pipe.

    Args:
        call: what to call.
        within: the seconds that it may take.
        keep: descriptors that the child has as well.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        _answer(call, writing, keep)
    os.close(writing)
    try:
        answer = _read(reading, within)
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(reading)
        os.waitpid(pid, 0)
    good, value, notes = pickle.loads(answer)  # noqa: S301 - our own child wrote it
    if not good:
        value.add_note(notes)
        raise value
    return value  # type: ignore[no-any-return] # it is what the call returned


def in_namespace(call: Callable[[], T], within: float = BOUND, options: bytes | None = None) -> T:
    """Call something as the first process of a new pid namespace that has its own ``/proc``.

    Whatever it starts there ends with it: the kernel sees to that (pid_namespaces(7)).

    Args:
        call: what to call.
        within: the seconds that it may take.
        options: the mount options of ``/proc``.
    """

    def with_own_proc() -> T:
        _mount(b"none", b"/", None, MS_REC | MS_PRIVATE)
        _mount(b"proc", b"/proc", b"proc", 0, options)
        return call()

    def enter() -> T:
        _unshare(CLONE_NEWPID | CLONE_NEWNS)
        return apart(with_own_proc, within)

    return apart(enter, within)


def in_foreign_proc(call: Callable[[], T], within: float = BOUND) -> T:
    """Call something as the first process of a pid namespace where ``/proc`` is the one above."""

    def enter() -> T:
        _unshare(CLONE_NEWPID)
        return apart(call, within)

    return apart(enter, within)


def without_proc(call: Callable[[], T], within: float = BOUND) -> T:
    """Call something where no ``/proc`` is mounted."""

    def bare() -> T:
        _unshare(CLONE_NEWNS)
        _mount(b"none", b"/", None, MS_REC | MS_PRIVATE)
        _checked(_libc().umount2(b"/proc", MNT_DETACH))
        return call()

    return apart(bare, within)


def mount_disk(folder: Path, *, size: int, read_only: bool = False) -> None:
    """Mount a disk of so many bytes for the rest of this namespace (tmpfs(5))."""
    flags = MS_RDONLY if read_only else 0
    _mount(b"none", os.fsencode(folder), b"tmpfs", flags, f"size={size}".encode())


def make_read_only(folder: Path) -> None:
    """Let nothing in a folder be written for the rest of this namespace (mount(2), bind)."""
    name = os.fsencode(folder)
    _mount(name, name, None, MS_BIND)
    _mount(b"none", name, None, MS_BIND | MS_REMOUNT | MS_RDONLY)


def become_subreaper() -> None:
    """Let orphans below this process become its children (prctl(2))."""
    _checked(_libc().prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def in_subreaper(call: Callable[[], T]) -> T:
    """Call something in a process that adopts its orphans."""

    def adopting() -> T:
        become_subreaper()
        return call()

    return apart(adopting)


def limit_descriptors(count: int) -> None:
    """Lower the limit of open descriptors for good."""
    import resource  # noqa: PLC0415 - not on every system

    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


@contextmanager
def unprivileged(account: Account | None) -> Iterator[None]:
    """Be an ordinary user for a while, if we are root and there is an account to be.

    The saved user id stays root's, so that coverage can be written at the end.
    It gives no rights: the kernel asks for the effective and the real one (credentials(7)).
    """
    if account is None or os.geteuid():
        yield
        return
    os.setgroups([])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, 0)
    # Without this our own /proc files would be root's, as they are for no ordinary process.
    _checked(_libc().prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def _answer(call: Callable[[], object], writing: int, keep: Iterable[int]) -> NoReturn:
    """Write to the pipe what the call returns or raises, and end this process."""
    try:
        kept = sorted({2, writing, *keep, os.sysconf("SC_OPEN_MAX")})
        for low, high in pairwise(kept):
            os.closerange(low + 1, high)
        try:
            answer = pickle.dumps((True, call(), ""))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent raises it
            answer = pickle.dumps((False, error, traceback.format_exc()))
        with open(writing, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(0)


def _read(reading: int, within: float) -> bytes:
    deadline = time.monotonic() + within
    poll = select.poll()
    poll.register(reading)
    parts: list[bytes] = []
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        part = os.read(reading, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
    message = f"a forked caller did not answer within {within} seconds"
    raise TimeoutError(message)


def _unshare(flags: int) -> None:
    """Leave namespaces (unshare(2)); an ordinary user becomes root in one of its own first."""
    uid, gid = os.geteuid(), os.getegid()
    if not uid:
        _checked(_libc().unshare(flags))
        return
    _checked(_libc().unshare(flags | CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _mount(
    source: bytes, target: bytes, kind: bytes | None, flags: int, options: bytes | None = None
) -> None:
    """Mount a file system, or change how one is mounted (mount(2))."""
    _checked(_libc().mount(source, target, kind, flags, options))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(status: int) -> None:
    """Raise what a failed call left in errno."""
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
