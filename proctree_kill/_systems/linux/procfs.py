"""``/proc`` (proc(5)), read with few system calls."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import pwd
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..contract import CpuSeconds
from ..member import DIES, HANDLES, IGNORES, Member
from ..pid import peek

PF_KTHREAD = 0x00200000
"""The flag of kernel threads in field 9 of ``stat`` (include/linux/sched.h)."""
KTHREADD, FIRST_NAMESPACE = 2, 0xEFFFFFFC
"""The parent of kernel threads, and the pid namespace in which it is that (PROC_PID_INIT_INO)."""
_PAGE = 4096
"""Bytes; most files are shorter."""
_TABLE_PASSES = 3
"""Of a table, at most: a process whose parent has ended meanwhile is read again."""
_SHORT = 2048
"""Bytes; a shorter read is the last: the kernel fills a page up to its last small record."""
HIDDEN = (FileNotFoundError, ProcessLookupError, PermissionError)
"""What is raised where ``/proc`` has no such file, or hides it."""
UNREAD = "/proc does not show it: what it started could not be looked for"
"""The note of a process that is known only by its descriptor or number."""


_boot_id: str | None = None  # set by :func:`boot_id`; unreadable where ``/proc`` is not mounted


class Stat(NamedTuple):
    """Fields of ``/proc/PID/stat``."""

    name: str
    state: bytes
    ppid: int
    pgid: int
    sid: int
    flags: int
    threads: int
    start: int
    fields: Sequence[bytes] = ()  # from the state to the memory


class Table(NamedTuple):
    """The children of each process.

    Args:
        below: by their parents.
        pids: the processes that were read, or need not be.
        is_complete: whether each parent was among these, so that none had ended meanwhile: its
            children have another parent.
    """

    below: dict[int, list[int]]
    pids: set[int]
    is_complete: bool


def read(path: str) -> bytes:
    """Return a whole file; b"" where the process is gone or hides it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except HIDDEN:
        return b""
    try:
        data = part = os.read(fd, _PAGE)  # a large buffer costs more than such a read
        while len(part) >= _SHORT:
            part = os.read(fd, 1 << 17)
            data += part
    except HIDDEN:
        return b""
    finally:
        os.close(fd)
    return data


@functools.cache
def usable() -> bool:
    """Whether the numbers in ``/proc`` are those of this process's pid namespace.

    A procfs shows the pid namespace of its mount (proc(5)). After ``unshare --pid --fork`` that is
    still the parent's, where our numbers mean other processes. Only ``/proc/self`` is right then.
    """
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return False
    except HIDDEN:  # not mounted, or of a pid namespace that does not contain this one
        return False
    # NSpid lists our numbers from the namespace of the mount down to our own
    # (proc_pid_status(5)); two may be equal. A kernel without pid namespaces has no such line.
    return len(status("self").get(b"NSpid", b"1").split()) == 1


def _of(pid: int | str, name: str) -> bytes:
    """Read a file of a process; b"" where ``/proc`` has none or is another pid namespace's."""
    return read(f"/proc/{pid}/{name}") if pid == "self" or usable() else b""


def is_taken(pid: int) -> bool:
    """Whether a process or a thread has this number: kill(2) sees what ``/proc`` hides."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def is_thread(pid: int) -> bool:
    """Whether a number is known to be a thread's, without ``/proc`` and pidfds."""
    # A file's owner must be a process: since Linux 5.12 F_GETOWN says 0 for a thread (fcntl(2)).
    fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.fcntl(fd, fcntl.F_SETOWN, pid)
        return not fcntl.fcntl(fd, fcntl.F_GETOWN)
    finally:
        os.close(fd)


def stat(pid: int | str) -> Stat | None:
    """Read the stat line of a process or of "self"; None where there is none."""
    if not (line := _of(pid, "stat")):
        return None
    head, _, tail = line.rpartition(b")")  # the last: a name may hold brackets and spaces
    fields = tail.split(None, 22)
    return Stat(
        head.partition(b"(")[2].decode("utf-8", "replace"),
        fields[0],
        int(fields[1]),
        int(fields[2]),
        int(fields[3]),
        int(fields[6]),
        int(fields[17]),
        int(fields[19]),
        fields,
    )


def member(pid: int) -> Member | None:
    """Make a member of the stat line of a process; None where there is none.

    It is :func:`stat` in one step, because large trees spend most of their time here.
    """
    line = read(f"/proc/{pid}/stat") if usable() else b""
    if not line:
        return None
    head, _, tail = line.rpartition(b")")
    fields = tail.split(None, 22)
    member = Member(pid, int(fields[1]))
    member.boot_id = _boot_id
    member.name = head.partition(b"(")[2].decode("utf-8", "replace")
    member.pgid, member.sid = int(fields[2]), int(fields[3])
    member.threads, member.start = int(fields[17]), int(fields[19])
    member.kernel = bool(int(fields[6]) & PF_KTHREAD)
    member.stopped = fields[0] == b"T"
    member.used = (fields[11], fields[12], fields[13], fields[14], fields[21])
    return member


def look_again(member: Member, found: Stat) -> None:
    """Note what a member used since it was found.

    Not its children: those that died since then may be members, which are counted by themselves.
    """
    if member.used and found.start == member.start:
        member.used = (*found.fields[11:13], *member.used[2:])


def cpu_used(members: Iterable[Member]) -> CpuSeconds | None:
    """Add up what these and the children that they had reaped used; None if none told."""
    told = Counter([member.used for member in members if member.used])  # alike ones are read once
    if not told:
        return None
    user, system, children_user, children_system = (
        sum(int(value) * count for value, count in zip(column, told.values(), strict=True))
        for column in list(zip(*told, strict=True))[:4]
    )
    hertz = os.sysconf("SC_CLK_TCK")
    return CpuSeconds((user + children_user) / hertz, (system + children_system) / hertz)


def memory_used(members: Iterable[Member]) -> int | None:
    """Add up the memory that these have resident; None if none told."""
    pages = sum(map(int, [member.used[4] for member in members if member.used]))
    return pages * os.sysconf("SC_PAGE_SIZE") or None


def session(pid: int) -> int | None:
    """Return the session of a process, by getsid(2) or, where a filter forbids that, by stat."""
    return _asked(os.getsid, pid, "sid")


def group(pid: int) -> int | None:
    """Return the process group of a process, by getpgid(2) or by stat, as :func:`session`."""
    return _asked(os.getpgid, pid, "pgid")


def _asked(call: Callable[[int], int], pid: int, field: str) -> int | None:
    try:
        return call(pid)
    except ProcessLookupError:
        return None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS):
            raise
    found = stat(pid)
    return None if found is None else getattr(found, field)


def hidden_member(pid: int, ppid: int | None = None) -> Member:
    """Make a member that ``/proc`` does not show, with what other calls say."""
    if ppid is None and is_our_child(pid):
        ppid = os.getpid()
    member = Member(pid, ppid)
    member.boot_id = _boot_id
    member.sid, member.pgid, member.note = session(pid), group(pid), UNREAD
    member.kernel = KTHREADD in (pid, ppid) and namespace("self") == FIRST_NAMESPACE
    return member


def threads(pid: int | str) -> int:
    """Count the threads of a process or of "self"; 0 where it is gone."""
    try:
        return os.stat(f"/proc/{pid}/task").st_nlink - 2 if usable() else 0
    except HIDDEN:
        return 0


def tasks(pid: int) -> list[str]:
    """List the threads of a process."""
    try:
        return os.listdir(f"/proc/{pid}/task") if usable() else []
    except HIDDEN:
        return []


def children(pid: int, *, alone: bool) -> list[int]:
    """List the children of a process; ``alone``: whether it has a single thread."""
    if alone:
        return [int(child) for child in _of(pid, f"task/{pid}/children").split()]
    lists = [read(f"/proc/{pid}/task/{task}/children") for task in tasks(pid)]
    return [int(child) for child in b" ".join(lists).split()]


def last_pid() -> int | None:
    """Return the number of the youngest process or thread; None where that is not known.

    It is the last field of ``/proc/loadavg`` (proc(5)), and changes with every fork.
    """
    # lxcfs mounts a file over it; gVisor shows 0.
    if not _is_kernels("/proc/loadavg"):
        return None
    return int(read("/proc/loadavg").rpartition(b" ")[2] or b"0") or None


@functools.cache
def _is_kernels(path: str) -> bool:
    """Whether a file of ``/proc`` is the kernel's: no other file system's is mounted over it."""
    try:
        return os.stat(path).st_dev == os.stat("/proc").st_dev
    except HIDDEN:
        return False


# A child may be in a namespace below.
os.register_at_fork(after_in_child=usable.cache_clear)
os.register_at_fork(after_in_child=_is_kernels.cache_clear)


def count() -> int:
    """Return the number of processes of the machine, and a few more; 0 where it is not known."""
    try:
        return os.stat("/proc").st_nlink  # proc_root_getattr, fs/proc/root.c
    except HIDDEN:
        return 0


def hides_processes() -> bool:
    """Whether ``/proc`` may not list a process that another file of it names (``hidepid``)."""
    if not usable():
        return True
    mounts = [line.split() for line in read("/proc/self/mountinfo").splitlines()]
    options = [line[-1] for line in mounts if line[4] == b"/proc"]  # of each file system there
    return not options or b"hidepid=" in options[-1].replace(b"hidepid=off", b"")


def pids() -> list[int]:
    """List all processes of this pid namespace."""
    return list(map(int, filter(str.isdecimal, os.listdir("/proc")))) if usable() else []


def table(listed: Sequence[int], living: Collection[int]) -> Table:
    """Read the parent of each process.

    Args:
        listed: the processes, those of :func:`pids`.
        living: those of them that live and are known; they are not read.
    """
    parents: dict[int, int] = {}
    unread = [pid for pid in listed if pid not in living]
    known = {0, *living}
    for _ in range(_TABLE_PASSES):
        vanished = False
        for pid in unread:
            parents.pop(pid, None)
            if (ppid := parent(pid)) is not None:
                parents[pid] = ppid
            elif is_taken(pid):
                return Table({}, known, is_complete=False)
            else:
                vanished = True
        read = known.union(parents)
        unread = [pid for pid, ppid in parents.items() if ppid not in read]
        if vanished:  # it may have left a child that is newer than the list
            unread += set(pids()).difference(read)
        if not unread:
            break
    below: dict[int, list[int]] = {}
    for pid, ppid in parents.items():
        below.setdefault(ppid, []).append(pid)
    return Table(below, known.union(parents), is_complete=not unread)


def parent(pid: int) -> int | None:
    """Return the parent of a process; 0 for another pid namespace's, None where it is not shown."""
    _, _, tail = _of(pid, "stat").rpartition(b")")
    return int(tail.split(None, 2)[1]) if tail else None


def is_older(pid: int, since: int) -> bool:
    """Whether a process started before this time, in clock ticks since boot."""
    _, _, tail = _of(pid, "stat").rpartition(b")")
    return bool(tail) and int(tail.split(None, 20)[19]) < since


def status(pid: int | str) -> dict[bytes, bytes]:
    """Read the fields of ``status`` by name, of a process, a thread or "self"."""
    lines = (line.partition(b":") for line in _of(pid, "status").splitlines())
    return {name: value.strip() for name, _, value in lines}


def response(pid: int, number: int) -> str | None:
    """Return how a process responds to a signal; None where that is hidden."""
    data, bit = _of(pid, "status"), 1 << number - 1
    for name, found in ((b"\nSigBlk:", HANDLES), (b"\nSigCgt:", HANDLES), (b"\nSigIgn:", IGNORES)):
        _, _, rest = data.partition(name)
        if not rest:
            return None
        if int(rest[: rest.index(b"\n")], 16) & bit:
            return found
    return DIES


def auxv(pid: int) -> bytes:
    """Return what the kernel told the program of a process at its start (getauxval(3))."""
    return _of(pid, "auxv")


def leader_of(thread: int) -> int | None:
    """Return the process of a thread; of a process, itself; None where there is none."""
    leader = status(thread).get(b"Tgid")
    return None if leader is None else int(leader)


def user_name(uid: int) -> str:
    """Return the name of a user; its uid where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def namespace(pid: int | str) -> int | None:
    """Return the inode of the pid namespace of a process (pid_namespaces(7)); None where hidden."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino if pid == "self" or usable() else None
    except HIDDEN:
        return None


def boot_id() -> str | None:
    """Return the random id of this boot; None where it cannot be read (yet)."""
    global _boot_id  # noqa: PLW0603 - a cache that keeps no failure
    _boot_id = _boot_id or read("/proc/sys/kernel/random/boot_id").decode().strip() or None
    return _boot_id


def is_our_child(pid: int) -> bool:
    """Whether it is known to be a child of this process that was not reaped."""
    return peek(pid) is not False


def is_adopted(member: Member) -> bool:
    """Whether a child was started by another process, which died, so that we may reap it."""
    caller = os.getpid()
    if member.adopted or member.ppid not in (None, caller):
        return True
    # What this process forks is in its session, or leads its own.
    return member.sid not in (None, member.pid, session(caller))


def ticks() -> int:
    """Return the time in the unit of :attr:`Stat.start`: clock ticks since boot."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def holds(pid: int, files: Collection[tuple[int, int]]) -> bool:
    """Whether a process has one of these files open; True where that cannot be read."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except FileNotFoundError:  # it is dead
        return False
    except OSError:
        return True
    for name in names:
        with contextlib.suppress(OSError):  # closed by now
            found = os.stat(f"{folder}/{name}")
            if (found.st_dev, found.st_ino) in files:
                return True
    return False
