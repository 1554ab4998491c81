"""Any system, by psutil alone: the base of macOS and BSD, and the oracle in tests."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import methodcaller
from typing import NamedTuple

import psutil

from .._models.identity import WEAK_TOLERANCE
from . import psutil_facts as _facts
from .contract import CpuSeconds, Details, Reply, System
from .member import ALIVE, DESCENDANT, GONE, ZOMBIE, Member
from .pid import exit_code, peek
from .psutil_lookup import name_among
from .signals import number_of

FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.05
"""Seconds between two looks at members; the pause doubles up to the second."""
PROTECTED = {0: "it is the kernel's own process", 1: "it is init, the first process"}


class Signal(NamedTuple):
    """An act on a process, and its name in a result."""

    name: str
    send: Callable[[psutil.Process], object]


SIGCONT = Signal("SIGCONT", methodcaller("resume"))
SIGSTOP = Signal("SIGSTOP", methodcaller("suspend"))
SIGKILL = Signal("SIGKILL", methodcaller("kill"))


class PsutilSystem(System):
    """One kill on any system that psutil knows.

    Start times distinguish a process from a later owner of its number, checked before each signal.
    A gap between that look and the signal stays, because psutil signals numbers.
    Sessions are not known here, and no process is reaped.
    """

    sums_reaped = not (psutil.MACOS or psutil.WINDOWS)  # psutil says 0 there (cpu_times)

    def __init__(self) -> None:
        """Begin with no process bound."""
        self._wake = threading.Event()
        self._bound: dict[Member, psutil.Process] = {}
        self._families: dict[int, list[psutil.Process]] | None = None

    def begin_scan(self) -> None:
        """Forget the process table."""
        self._families = None

    def refusal(self, pid: int, member: Member | None) -> str | None:
        """Refuse the system's own processes, kernel threads and thread ids."""
        if pid in PROTECTED:
            return PROTECTED[pid]
        process = _facts.find(pid) if member is None else self._bound.get(member)
        if process is None:
            return None
        if member is not None:
            return f"it is the kernel thread {member.name}" if _facts.is_kernel(process) else None
        return f"it is a thread id; the process of that thread is {_facts.leader(process)}"

    def bind(self, pid: int) -> Member | None:
        """Read the facts, then look again, so that they all belong to the same process."""
        process = _facts.find(pid)
        # On Linux psutil opens a thread as well; pid_exists knows that it is not a process.
        return self._bind(process) if process is not None and psutil.pid_exists(pid) else None

    def children(
        self, parents: Sequence[Member], known: Mapping[int, Member]
    ) -> list[tuple[Member, Member]]:
        """Look the parents up in the process table of this scan."""
        found = [
            (parent, child)
            for parent in parents
            for process in self._children(parent)
            if not self._is_known(process, known)
            if (child := self._bind_child(process, parent)) is not None
        ]
        # A parent that still has its number now had it when the table was read.
        owners = {parent for parent, _ in found if self.owns_number(parent)}
        for parent, child in found:
            if parent not in owners:
                self.drop(child)
        return [pair for pair in found if pair[0] in owners]

    def owns_number(self, member: Member) -> bool:
        """Whether the number still leads to this process, dead or alive."""
        return self._find(member) is not None

    def drop(self, member: Member) -> None:
        """Forget it."""
        self._bound.pop(member, None)

    def candidates(self, roots: Sequence[Member], **_: bool) -> Iterable[int]:  # noqa: ARG002 - all
        """List all processes."""
        return psutil.pids()

    def carries(
        self,
        pid: int,
        markers: Collection[bytes],
        since: int = 0,  # noqa: ARG002 - a look costs
    ) -> bool | None:
        """Look into the environment that psutil shows."""
        environment = _facts.environment(pid)
        if environment is None:
            return None
        wanted = (os.fsdecode(marker).partition("=") for marker in markers)
        return any(environment.get(name) == value for name, _, value in wanted)

    def ancestors(self, pid: int) -> list[int]:
        """Follow the parents, up to one that is younger than its child."""
        found: list[int] = []
        with contextlib.suppress(*_facts.UNREADABLE):
            child = psutil.Process(pid)
            while (ppid := child.ppid()) and ppid not in (pid, *found):
                parent = psutil.Process(ppid)
                if self._is_older(child.create_time(), parent.create_time()):
                    break
                found.append(ppid)
                child = parent
        return found

    def ask(
        self,
        members: Iterable[Member],
        signal_name: str,
        until: float,  # noqa: ARG002 - nothing helps
        others: Sequence[Member],  # noqa: ARG002 - each is reached by itself
    ) -> Reply:
        """Send the signal, then SIGCONT: a stopped process handles no other signal."""
        members = list(members)
        number = number_of(signal_name, members)
        if number is None:
            return Reply([], [])
        return self._send(
            members, Signal(signal_name, methodcaller("send_signal", number)), SIGCONT
        )

    def freeze(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:  # noqa: ARG002 - psutil knows none
        """Suspend each."""
        return self._send(members, SIGSTOP)

    def prove_stopped(self, members: Iterable[Member], until: float) -> None:
        """Look at the states again, with growing pauses."""
        pause, running = FIRST_PAUSE, list(members)
        while running := [member for member in running if self._runs(member)]:
            if self.now() >= until:
                self.unseen |= DESCENDANT
                return
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def kill(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:  # noqa: ARG002 - psutil knows none
        """Kill each."""
        return self._send(members, SIGKILL)

    def release(self, members: Iterable[Member]) -> None:
        """Resume each."""
        self._send(members, SIGCONT)

    def stopped(self, pid: int) -> bool:
        """Whether it is stopped by job control, not by a tracer."""
        process = _facts.find(pid)
        return process is not None and self._is_stopped(process)

    def uids(self, member: Member) -> Sequence[int]:
        """Ask psutil, which has uids on POSIX only."""
        uids = getattr(self._bound[member], "uids", None)
        return () if uids is None else (_facts.read(uids) or ())[:2]

    def arguments(self, member: Member) -> Sequence[str]:
        """Ask psutil."""
        return _facts.arguments(self._bound[member])

    def name_among(self, member: Member, names: Collection[str]) -> str | None:
        """Ask psutil anew: it keeps the first name that it has read of a process."""
        process = _facts.find(member.pid)
        found = process and _facts.read(process.name)
        return name_among(found, names) if found else None

    def details(self, member: Member) -> Details:
        """Ask psutil."""
        process = self._bound[member]
        created = _facts.read(process.create_time)
        seconds = None if created is None else time.time() - created
        command = " ".join(self.arguments(member)) or None
        return Details(_facts.read(process.username), command, seconds)

    def cpu_used(self, members: Iterable[Member]) -> CpuSeconds | None:
        """Add up what psutil said."""
        told = [member.used for member in members if member.used]
        if not told:
            return None
        user, system, _ = (sum(column) for column in zip(*told, strict=True))
        return CpuSeconds(user, system)

    def memory_used(self, members: Iterable[Member]) -> int | None:
        """Add up what psutil said."""
        return sum(member.used[2] for member in members if member.used) or None

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Look again with growing pauses: nothing better works on every system."""
        pause = FIRST_PAUSE
        while True:
            dead = [member for member in members if self._living(member) is None]
            left = until - self.now()
            if dead or left <= 0 or self._woken(min(pause, left)):
                return dead
            pause = min(2 * pause, LONGEST_PAUSE)

    def inspect(self, members: Iterable[Member]) -> None:
        """Read how dead children of this process ended, without reaping them."""
        for member in members:
            if member.exit_code is None and self.owns_number(member):
                member.exit_code = exit_code(peek(member.pid))

    def wake(self) -> None:
        """Wake one wait."""
        self._wake.set()

    def close(self) -> None:
        """Forget all processes: psutil holds no descriptors."""
        self._bound.clear()
        self._families = None

    def _bind(self, process: psutil.Process, ppid: int | None = None) -> Member | None:
        member = Member(process.pid, ppid)
        with process.oneshot():
            member.create_time = _facts.read(process.create_time)
            member.ppid = _facts.read(process.ppid) if ppid is None else ppid
            member.name = _facts.read(process.name)
            member.stopped = self._is_stopped(process)
            member.used = _facts.used(process)
        member.sid = self.session(member.pid)
        member.pgid = self.group(member.pid)
        self._bound[member] = process
        if self._living(member) is None and member.state == GONE:
            self.drop(member)
            return None
        return member

    def _bind_child(self, process: psutil.Process, parent: Member) -> Member | None:
        member = self._bind(process, parent.pid)
        if member is not None and (
            member.state != ALIVE or self._is_older(member.create_time, parent.create_time)
        ):
            self.drop(member)
            return None
        return member

    def _is_older(self, child: float | None, parent: float | None) -> bool:
        # A child that began before its parent had an earlier owner of that number as its parent.
        return child is None or parent is None or child < parent - WEAK_TOLERANCE

    def _is_known(self, process: psutil.Process, known: Mapping[int, Member]) -> bool:
        """Whether a process is the known member with its number; else that member is gone."""
        member = known.get(process.pid)
        if member is None:
            return False
        same = self._is_same(process, member)
        if not same:
            member.state = GONE
        return same

    def _children(self, parent: Member) -> list[psutil.Process]:
        if self._families is None:
            self._families = _facts.families()
        return self._families.get(parent.pid, [])

    def _send(self, members: Iterable[Member], *signals: Signal) -> Reply:
        reply = Reply([], [])
        for member in members:
            if not self._reaches(member, signals):
                # A dying process may refuse as well, so look again.
                (reply.gone if self._living(member) is None else reply.denied).append(member)
        return reply

    def _reaches(self, member: Member, signals: Sequence[Signal]) -> bool:
        process = self._living(member)
        if process is None:
            return False
        try:
            for act in signals:
                act.send(process)
                member.signals.append(act.name)
        except (psutil.Error, OSError):
            return False
        return True

    def _living(self, member: Member) -> psutil.Process | None:
        """Return the process of a member while it lives, and note its state."""
        process = self._find(member)
        if process is None:
            member.state = GONE
        elif _facts.is_dead(process):
            member.state = ZOMBIE
        else:
            return process
        return None

    def _find(self, member: Member) -> psutil.Process | None:
        process = _facts.find(member.pid)
        return process if process is not None and self._is_same(process, member) else None

    def _is_same(self, process: psutil.Process, member: Member) -> bool:
        """Whether a process is the one that was bound; a doubt counts as no."""
        # psutil compares monotonic start times where the system has them (Linux, macOS, NetBSD).
        if process == self._bound.get(member):
            return True
        now = _facts.read(process.create_time)
        if now is None or member.create_time is None:
            return False
        return abs(now - member.create_time) <= WEAK_TOLERANCE

    def _runs(self, member: Member) -> bool:
        process = self._living(member)
        stopped = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
        return process is not None and _facts.read(process.status) not in stopped

    def _is_stopped(self, process: psutil.Process) -> bool:
        return _facts.read(process.status) == psutil.STATUS_STOPPED

    def _woken(self, seconds: float) -> bool:
        """Pause; return whether it was cut short by a hurry."""
        woken = self._wake.wait(seconds)
        if woken:
            self._wake.clear()
        return woken
