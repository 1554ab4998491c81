"""Holding Linux processes by descriptors: exact, and awake at once when one dies."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..member import GONE, ZOMBIE, Member
from . import pidfd, procfs

SPARE_DESCRIPTORS = 24
"""Descriptors that are left to the rest of the program."""
FEW = 16
"""This many are opened without asking how many there may be."""
LINGER = 20
"""After a death we wait this many times what a look at everybody costs before the next look."""

LONGEST_WAIT = 86_400.0
"""Seconds that are handed to poll(2) at most, which counts milliseconds in 32 bits."""

_FULL = {errno.EMFILE, errno.ENFILE}
_T = TypeVar("_T")


class PidfdHandles:
    """Members held by pidfds, as many as the limit of descriptors allows.

    The others are opened again for each act, and compared by the inode of the pidfd.
    """

    def __init__(self) -> None:
        """Open what wakes a wait."""
        self._held: dict[Member, None] = {}
        self._budget = FEW
        self._measured = False
        self._pause = 0.0
        self._woken = False
        self._caller = os.getpid()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def open(self, pid: int) -> Member | None:
        """Open the process first and read its facts then, so that they are its own.

        If it is reaped in between, the facts may be its successor's:
        :meth:`look` then finds it gone, and a signal through the descriptor reaches nobody.
        """
        return self.with_room(lambda: self._open(pid))

    def look(self, members: Sequence[Member]) -> list[Member]:
        """Return those who are dead, each with its state: a zombie still owns its number."""
        dead = self._ready(members, 0)
        dead += [one for one in members if one.handle is None and self._is_dead(one)]
        for one in dead:
            one.state = ZOMBIE if self.owns_number(one) else GONE
        return dead

    def owns_number(self, one: Member) -> bool:
        """Tell whether it lives or has not been reaped."""
        try:
            self.send(one, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def holds_session(self, leader: Member) -> bool:
        """Tell whether the process is there, or a group that has its very number.

        Before Linux 6.9 a free number looks like an unbroken one.
        """
        if self.owns_number(leader):
            return True
        if leader.handle is not None:
            try:
                if self.send_group(leader, 0):
                    return True
            except ProcessLookupError:
                return False
        return procfs.stat(leader.pid) is None

    def group_remains(self, leader: Member) -> bool:
        """Tell whether the group of one that is reaped has members; unknown before Linux 6.9."""
        if leader.handle is None or self.owns_number(leader):
            return False
        try:
            return self.send_group(leader, 0)
        except ProcessLookupError:
            return False

    def send(self, one: Member, number: int) -> None:
        """Signal that very process.

        Raises:
            ProcessLookupError: it is gone.
            PermissionError: it is not ours to signal.
        """
        if one.handle is not None:
            self._send(one, one.handle, number)
            return
        fd = self.with_room(lambda: _reopen(one))
        if fd is None:
            raise ProcessLookupError
        try:
            self._send(one, fd, number)
        finally:
            os.close(fd)

    def send_group(self, leader: Member, number: int) -> bool:
        """Signal the very group that this process leads or led; False where the kernel cannot.

        Raises:
            ProcessLookupError: the group is empty.
        """
        if leader.handle is None:
            return False
        try:
            signal.pidfd_send_signal(leader.handle, number, None, pidfd.PIDFD_SIGNAL_PROCESS_GROUP)
        except PermissionError:  # it is there, and none of it is ours to signal
            return pidfd.signals()
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS):  # before Linux 6.9; seccomp
                raise
            return False
        return True

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Wait until one of these is dead, until this time, or for a hurry; return the dead."""
        crowd = [one for one in members if one.handle is None]
        dead = [one for one in crowd if not self._hold(one)]
        if not dead:
            dead = self._wait(members, until)
        if crowd and time.monotonic() >= until:
            dead += [one for one in crowd if one.handle is None and self._is_dead(one)]
        for one in dead:
            one.state = ZOMBIE
            if crowd:  # others need the descriptor
                self.inspect([one])
                self.drop(one)
        return dead

    def inspect(self, members: Iterable[Member]) -> None:
        """Fill in exit codes, and reap those who became our children when their parents died."""
        for one in members:
            if one.handle is None or one.exit_code is not None:
                continue
            found = pidfd.info(one.handle)
            if found is not None and found.status is not None:
                one.exit_code = os.waitstatus_to_exitcode(found.status)
            elif found is None or found.ppid == self._caller:
                one.exit_code = _wait_status(one.handle, keep=not procfs.is_adopted(one))

    def drop(self, one: Member) -> None:
        """Close the descriptor of a member."""
        if one.handle is not None:
            os.close(one.handle)
            one.handle = None
            self._held.pop(one, None)

    def hurry(self) -> None:
        """Wake one wait."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Close every descriptor; neighbours in one call."""
        fds = [self._wake]
        for one in self._held:
            if one.handle is not None:
                fds.append(one.handle)
                one.handle = None
        self._held.clear()
        for _, run in groupby(enumerate(sorted(fds)), key=lambda pair: pair[1] - pair[0]):
            numbers = [fd for _, fd in run]
            os.closerange(numbers[0], numbers[-1] + 1)

    def with_room(self, act: Callable[[], _T]) -> _T:
        """Do what opens a descriptor; when none is left, give up half of ours and do it again."""
        try:
            return act()
        except OSError as error:
            if error.errno not in _FULL or not self._held:
                raise
        for one in [one for one in self._held if not _is_bound(one)][: (len(self._held) + 1) // 2]:
            self.drop(one)
        self._budget = len(self._held)
        return act()

    def _open(self, pid: int) -> Member | None:
        fd = pidfd.open(pid)
        if fd is None:
            return None
        member = None
        try:
            member = _facts(pid, fd)
            if member is not None and (_is_bound(member) or self._room()):
                member.handle = fd
                self._held[member] = None
            elif pidfd.readable([fd], 0):
                member = None
        finally:
            if member is None or member.handle is None:
                os.close(fd)
        return member

    def _send(self, one: Member, fd: int, number: int) -> None:
        """Signal through the descriptor; where a filter forbids that, the number while it is held.

        Between the look and the signal is a gap in which it may die and be reaped.
        """
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            raise
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOSYS) or pidfd.signals():
                raise
            if pidfd.readable([fd], 0):  # dead; its number is its own until it is reaped
                again = self.with_room(lambda: _reopen(one))
                if again is None:
                    raise ProcessLookupError from None
                os.close(again)
            os.kill(one.pid, number)

    def _hold(self, one: Member) -> bool:
        """Hold a member again if there is room; False when it is gone."""
        if self._room():
            one.handle = self.with_room(lambda: _reopen(one))
            if one.handle is None:
                return False
            self._held[one] = None
        return True

    def _room(self) -> bool:
        """Tell whether one more descriptor may be kept."""
        if len(self._held) >= self._budget and not self._measured:
            self._measured = True
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            try:
                used = len(os.listdir("/proc/self/fd"))
            except FileNotFoundError:  # no /proc: nothing tells
                used = soft // 2
            self._budget = len(self._held) + max(soft - used - SPARE_DESCRIPTORS, 0)
        return len(self._held) < self._budget

    def _is_dead(self, one: Member) -> bool:
        """Look at a member that is not held."""
        fd = self.with_room(lambda: _reopen(one))
        if fd is None:
            return True
        try:
            return bool(pidfd.readable([fd], 0))
        finally:
            os.close(fd)

    def _wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Wait for one of the held.

        Deaths come in swarms, and each look at everybody costs: after one we wait a moment
        on a single member first, so that a thousand deaths are a few looks.
        """
        self._woken = False
        if self._pause:
            self._ready(members[-1:], min(self._pause, until - time.monotonic()))
        begun = time.monotonic()
        dead = self._ready(members, 0)
        cost = time.monotonic() - begun
        if not dead and not self._woken:
            dead = self._ready(members, until - time.monotonic())
        self._pause = LINGER * cost if dead else 0.0
        return dead

    def _ready(self, members: Sequence[Member], seconds: float) -> list[Member]:
        """Return the dead among the held, after a wait for the first of them or for a hurry."""
        held: dict[int, Member] = {}
        for one in members:
            if one.handle is not None:
                held[one.handle] = one
        fds = [self._wake, *held] if seconds > 0 else held
        ready = pidfd.readable(fds, min(max(seconds, 0), LONGEST_WAIT) * 1000)
        if self._wake in ready:
            os.eventfd_read(self._wake)
            self._woken = True
        return [held[fd] for fd in ready if fd != self._wake]


def _facts(pid: int, fd: int) -> Member | None:
    """Read what is known of a process; None where it is dead and nothing is.

    A living process that ``/proc`` does not show is known by its descriptor alone.
    """
    found = procfs.stat(pid)
    if found is not None:
        member = procfs.member(pid, found)
    elif pidfd.readable([fd], 0):
        return None
    else:
        told = pidfd.info(fd)
        member = procfs.unread(pid, told.ppid if told else None)
    member.inode = pidfd.inode(fd)
    return member


def _is_bound(one: Member) -> bool:
    """Whether nothing but its descriptor tells it from a later owner of its number."""
    return one.inode is None and one.start is None


def _reopen(one: Member) -> int | None:
    """Open a member again; None where its number is free or another process's."""
    fd = pidfd.open(one.pid)
    if fd is None:
        return None
    same = False
    try:
        if one.inode is not None:
            same = pidfd.inode(fd) == one.inode
        else:
            found = procfs.stat(one.pid)
            same = found is not None and found.start == one.start
    finally:
        if not same:
            os.close(fd)
    return fd if same else None


def _wait_status(fd: int, *, keep: bool) -> int | None:
    """Return the exit code of a child of ours; ``keep`` leaves the zombie to its owner."""
    options = os.WEXITED | os.WNOHANG | (os.WNOWAIT if keep else 0)
    try:
        return procfs.exit_code(os.waitid(os.P_PIDFD, fd, options))
    except ChildProcessError:  # another process's child
        return None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.EINVAL):
            raise
        return None  # a seccomp filter, or Linux 5.3, which has no P_PIDFD
