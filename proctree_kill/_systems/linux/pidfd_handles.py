"""Linux processes held by descriptors: exact, and an exit ends a wait at once."""

from __future__ import annotations

import errno
import math
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
from ..pid import exit_code
from . import pidfd, procfs

SPARE_DESCRIPTORS = 24
"""Descriptors that are left free for the rest of the program."""
FIRST_BUDGET = 16
"""Descriptors that are opened before the limit is looked at."""
HIGHEST = 8192
"""The table of descriptors is not prepared for more; it takes 8 bytes each."""
PAUSE_FACTOR = 20
"""After a death the next look comes after this many times what a look costs."""

UNHELD_POLL = 0.05
"""Seconds between two looks at members of which none has a descriptor."""
LONGEST_WAIT = 86_400.0
"""Seconds that are handed to poll(2) at most, which counts milliseconds in 32 bits."""
_FULL = {errno.EMFILE, errno.ENFILE}
_T = TypeVar("_T")


class PidfdHandles:
    """Members held by pidfds, as many as the limit of descriptors allows.

    The others are opened again for each act, and their identity is compared.
    """

    def __init__(self) -> None:
        """Open the eventfd that wakes a wait."""
        self._held: dict[Member, None] = {}
        self._budget = FIRST_BUDGET
        self._measured = False
        self._pause = 0.0
        self._woken = False
        self._caller = os.getpid()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._has_grown = False
        if procfs.threads("self") == 1:  # it costs least before our own thread starts
            self.expect(math.inf)

    def expect(self, count: float) -> None:
        """Prepare for so many more members, once."""
        if not self._has_grown and count > FIRST_BUDGET:
            self._has_grown = True
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            pidfd.grow_table(self._wake, min(procfs.count() + FIRST_BUDGET, HIGHEST, soft - 1))

    def open(self, pid: int) -> Member | None:
        """Open a process, then read its facts.

        If it is reaped in between, the facts may be of the next process with its number:
        :meth:`look` then finds it gone, and a signal through the descriptor reaches none.
        """
        try:
            return self._open(pid)
        except OSError as error:
            self.make_room(error)
        return self._open(pid)

    def look(self, members: Sequence[Member]) -> list[Member]:
        """Return the dead, each with its state."""
        dead = self._ready(members, 0)
        dead += [member for member in members if member.handle is None and self._is_dead(member)]
        for member in dead:
            member.state = ZOMBIE if self.owns_number(member) else GONE
        return dead

    def owns_number(self, member: Member) -> bool:
        """Whether it lives or was not reaped."""
        try:
            self.send(member, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def holds_session(self, leader: Member) -> bool:
        """Whether the process is there, or a group that it led.

        Before Linux 6.9 it is also True if the number is free now.
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
        """Whether the group of a reaped leader has members; False before Linux 6.9."""
        if leader.handle is None or self.owns_number(leader):
            return False
        try:
            return self.send_group(leader, 0)
        except ProcessLookupError:
            return False

    def send(self, member: Member, number: int) -> None:
        """Signal this process.

        Raises:
            ProcessLookupError: it is gone.
            PermissionError: we may not signal it.
        """
        fd = member.handle
        if fd is None:
            self._send_once(member, number)
            return
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            raise
        except OSError as error:
            self._send_by_number(member, fd, number, error)

    def send_group(self, leader: Member, number: int) -> bool:
        """Signal the group that this process leads or led; return False where the kernel cannot.

        Raises:
            ProcessLookupError: the group is empty.
        """
        if leader.handle is None:
            return False
        try:
            signal.pidfd_send_signal(leader.handle, number, None, pidfd.PIDFD_SIGNAL_PROCESS_GROUP)
        except PermissionError:  # it has members, and we may signal none
            return pidfd.signals()
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS):  # before Linux 6.9; seccomp
                raise
            return False
        return True

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Wait until one of these is dead, until this time, or for a hurry; return the dead."""
        unheld = [member for member in members if member.handle is None]
        dead = [member for member in unheld if not self._hold(member)]
        if unheld and all(member.handle is None for member in members):
            until = min(until, time.monotonic() + UNHELD_POLL)
        if not dead:
            dead = self._wait(members, until)
        if unheld and time.monotonic() >= until:
            dead += [member for member in unheld if member.handle is None and self._is_dead(member)]
        for member in dead:
            member.state = ZOMBIE
            if unheld:  # other members need the descriptor
                self.inspect([member])
                self.drop(member)
        return dead

    def inspect(self, members: Iterable[Member]) -> None:
        """Fill in exit codes, and reap the adopted: our children since their parents died."""
        for member in members:
            if member.handle is None or member.exit_code is not None:
                continue
            found = pidfd.info(member.handle)
            if found is not None and found.status is not None:
                member.exit_code = os.waitstatus_to_exitcode(found.status)
            elif found is None or found.ppid == self._caller:
                member.exit_code = _wait_status(member.handle, keep=not procfs.is_adopted(member))

    def drop(self, member: Member) -> None:
        """Close the descriptor of a member."""
        if member.handle is not None:
            os.close(member.handle)
            member.handle = None
            self._held.pop(member, None)

    def wake(self) -> None:
        """Wake one wait."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Close every descriptor; adjacent numbers in a single call."""
        fds = [self._wake]
        for member in self._held:
            if member.handle is not None:
                fds.append(member.handle)
                member.handle = None
        self._held.clear()
        for _, run in groupby(enumerate(sorted(fds)), key=lambda pair: pair[1] - pair[0]):
            numbers = [fd for _, fd in run]
            os.closerange(numbers[0], numbers[-1] + 1)

    def with_room(self, act: Callable[[], _T]) -> _T:
        """Do what opens a descriptor; when none is free, make room and do it again."""
        try:
            return act()
        except OSError as error:
            self.make_room(error)
        return act()

    def make_room(self, error: OSError) -> None:
        """Close half of our descriptors after an error that said that none is free.

        Raises:
            OSError: it said something else, or there are none of ours.
        """
        if error.errno not in _FULL or not self._held:
            raise error
        half = (len(self._held) + 1) // 2
        for member in [member for member in self._held if not _is_known_by_descriptor(member)][
            :half
        ]:
            self.drop(member)
        self._budget = len(self._held)

    def _open(self, pid: int) -> Member | None:
        if (fd := pidfd.open(pid)) is None:
            return None
        member = None
        try:
            member = procfs.member(pid) or _hidden(pid, fd)
            if member is None:
                return None
            member.inode = pidfd.inode(fd)
            has_room = len(self._held) < self._budget or self._room()
            if has_room or _is_known_by_descriptor(member):
                member.handle = fd
                self._held[member] = None
            elif pidfd.readable([fd], 0):
                member = None
        finally:
            if member is None or member.handle is None:
                os.close(fd)
        return member

    def _send_once(self, member: Member, number: int) -> None:
        member.handle = self.with_room(lambda: _reopen(member))
        if member.handle is None:
            raise ProcessLookupError
        try:
            self.send(member, number)
        finally:
            os.close(member.handle)
            member.handle = None

    def _send_by_number(self, member: Member, fd: int, number: int, error: OSError) -> None:
        """Signal by number where a seccomp filter forbids signals through descriptors.

        There a gap stays between the look and the signal, in which it may die and be reaped.
        """
        if error.errno not in (errno.EPERM, errno.ENOSYS) or pidfd.signals():
            raise error
        if pidfd.readable([fd], 0):  # dead; it has its number until it is reaped
            again = self.with_room(lambda: _reopen(member))
            if again is None:
                raise ProcessLookupError from None
            os.close(again)
        os.kill(member.pid, number)

    def _hold(self, member: Member) -> bool:
        """Hold a member again if there is room; return False if it is gone."""
        if self._room():
            member.handle = self.with_room(lambda: _reopen(member))
            if member.handle is None:
                return False
            self._held[member] = None
        return True

    def _room(self) -> bool:
        """Whether another descriptor may be kept."""
        if not self._measured and len(self._held) >= self._budget:
            self._measured = True
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            try:
                used = len(os.listdir("/proc/self/fd"))
            except FileNotFoundError:  # no /proc: unknown
                used = soft // 2
            self._budget = len(self._held) + max(soft - used - SPARE_DESCRIPTORS, 0)
        return len(self._held) < self._budget

    def _is_dead(self, member: Member) -> bool:
        fd = self.with_room(lambda: _reopen(member))
        if fd is None:
            return True
        try:
            return bool(pidfd.readable([fd], 0))
        finally:
            os.close(fd)

    def _wait(self, members: Sequence[Member], until: float) -> list[Member]:
        self._woken = False
        # Many members die at about the same time, and each look at all of them costs.
        # After a death, wait shortly on a single member first: a thousand deaths are a few looks.
        if self._pause:
            self._ready(members[-1:], min(self._pause, until - time.monotonic()))
        begun = time.monotonic()
        dead = self._ready(members, 0)
        cost = time.monotonic() - begun
        if not dead and not self._woken:
            dead = self._ready(members, until - time.monotonic())
        self._pause = PAUSE_FACTOR * cost if dead else 0.0
        return dead

    def _ready(self, members: Sequence[Member], seconds: float) -> list[Member]:
        """Wait for a death among the held, or for a hurry; return the dead."""
        held: dict[int, Member] = {}
        for member in members:
            if member.handle is not None:
                held[member.handle] = member
        fds = [self._wake, *held] if seconds > 0 else held
        ready = pidfd.readable(fds, min(max(seconds, 0), LONGEST_WAIT) * 1000)
        if self._wake in ready:
            os.eventfd_read(self._wake)
            self._woken = True
        return [held[fd] for fd in ready if fd != self._wake]


def _hidden(pid: int, fd: int) -> Member | None:
    """Make a member that is known by its descriptor alone; None if it is dead."""
    if pidfd.readable([fd], 0):
        return None
    info = pidfd.info(fd)
    return procfs.hidden_member(pid, info.ppid if info else None)


def _is_known_by_descriptor(member: Member) -> bool:
    """Whether only its descriptor distinguishes it from a later owner of its number."""
    return member.inode is None and member.start is None


def _reopen(member: Member) -> int | None:
    """Open a member again; None if its number is free or another process's."""
    fd = pidfd.open(member.pid)
    if fd is None:
        return None
    same = False
    try:
        if member.inode is not None:
            same = pidfd.inode(fd) == member.inode
        else:
            found = procfs.stat(member.pid)
            same = found is not None and found.start == member.start
    finally:
        if not same:
            os.close(fd)
    return fd if same else None


def _wait_status(fd: int, *, keep: bool) -> int | None:
    """Return the exit code of a child; ``keep``: do not reap it."""
    options = os.WEXITED | os.WNOHANG | (os.WNOWAIT if keep else 0)
    try:
        return exit_code(os.waitid(os.P_PIDFD, fd, options))
    except ChildProcessError:  # another process's child, or another part of the program reaps it
        return pidfd.reaped_code(fd)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.EINVAL):
            raise
        return None  # a seccomp filter, or Linux 5.3, which has no P_PIDFD
