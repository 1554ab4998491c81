"""Linux: children, candidates for orphans, and signals."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..contract import CpuSeconds, Details, Reply, System
from ..member import ALIVE, DESCENDANT, GONE, GROUP, MARKER, SESSION, ZOMBIE, Member
from ..pid import may_signal
from ..signals import number_of
from . import freezer, memory, pidfd, procfs, stops, survival
from .pidfd_handles import PidfdHandles
from .tick_handles import TickHandles

PIDFD = pidfd.supported()
"""Whether processes are held by descriptors; else by start ticks."""
NOTHING_SEEN = DESCENDANT | SESSION | GROUP | MARKER
"""What cannot be looked for where ``/proc`` does not show it."""
FIRST_STOP_POLL, STOP_POLL = 0.00002, 0.0005
"""Seconds between two looks at members that are to stop; the pause doubles up to the second."""
FRESH = 0.1
"""Seconds for which what a process told of its use is as good as now."""
FEW = 32
"""Parents that are asked one by one in any case."""
CHILDREN_FILE = os.path.exists("/proc/thread-self/children")
"""Whether the kernel lists children (CONFIG_PROC_CHILDREN)."""


class LinuxSystem(System):
    """Linux during one kill; :class:`~..contract.System` says what each method promises."""

    def __init__(self) -> None:
        """Choose how processes are held."""
        procfs.boot_id()  # members bear it; later there may be no descriptor left to read it
        self.unseen = 0 if procfs.usable() else NOTHING_SEEN
        held = PIDFD and pidfd.supported()  # a seccomp filter may be newer than the import
        self._handles: PidfdHandles | TickHandles = PidfdHandles() if held else TickHandles()
        self._table: procfs.Table | None = None
        self._asked = 0  # parents whose children were looked for in this scan
        self._processes: int | None = None  # of the machine, at the first look
        self._reapers: set[int] | None = None
        self._everywhere = False
        self._dead: dict[tuple[int, int | None], Member] = {}  # children that were found dead
        self._killed: list[Member] = []
        self._begun = self.now()
        self._frozen: set[str] = set()  # the cgroups of version 1 in which members are frozen

    def start_clock(self) -> int:
        """Return the time in clock ticks since boot."""
        return procfs.ticks()

    def begin_scan(self) -> None:
        """Forget the table of all children."""
        self.disturbed = False
        self._table = self._processes = None
        self._asked = 0

    def last_start(self) -> int | None:
        """Return the number that was given out last."""
        return procfs.last_pid()

    def is_youngest(self, pid: int) -> bool:
        """Whether its number was given out last."""
        return procfs.last_pid() == pid

    def refusal(self, pid: int, member: Member | None) -> str | None:
        """Refuse init, kernel threads and thread ids."""
        if pid == 1:
            return "it is init, the first process of this pid namespace"
        if member is not None:
            return f"it is the kernel thread {member.name or pid}" if member.kernel else None
        leader = procfs.leader_of(pid)
        if leader not in (None, pid):
            return f"it is a thread id; the process of that thread is {leader}"
        if leader is None and procfs.is_taken(pid):
            return "it is a thread id, or the number of a process that cannot be looked at"
        return None

    def bind(self, pid: int) -> Member | None:
        """Open the process, alive or a zombie."""
        found = self.bind_all([pid])
        return found[0] if found else None

    def bind_all(self, pids: Iterable[int]) -> list[Member]:
        """Open the processes, then look at all."""
        found: list[Member] = []
        try:
            found.extend(filter(None, map(self._handles.open, pids)))
            gone = {member for member in self._handles.look(found) if member.state == GONE}
        except BaseException:
            for member in found:
                self.drop(member)
            raise
        for member in gone:
            self.drop(member)
        return [member for member in found if member not in gone] if gone else found

    def children(
        self, parents: Sequence[Member], known: Mapping[int, Member]
    ) -> list[tuple[Member, Member]]:
        """Read the parents' lists, check the parents, then open the children and check them."""
        if any(member.start is None for member in parents):
            self.unseen = NOTHING_SEEN
        before = self.start_clock()
        self._choose_table(len(parents), known)
        listed = [(parent, self._list(parent)) for parent in parents]
        looked, dead = {*parents}, {*self._handles.look(parents)}
        self._handles.expect(sum(len(pids) for _, pids in listed))
        found = []
        for parent, pids in listed:
            if not pids:
                continue
            if parent in dead:  # the list may be of the next process with its number
                self.disturbed = True
                continue
            for pid in pids:
                same = known.get(pid)
                if same is not None and (
                    (same.state == ALIVE and same in looked) or self.owns_number(same)
                ):
                    continue
                child = self._handles.open(pid)
                if child is None:
                    self.disturbed = True
                elif child.ppid == parent.pid or self._was_listed(child, before):
                    found.append((parent, child))
                else:
                    self.drop(child)
        return self._living(found)

    def _was_listed(self, child: Member, before: int) -> bool:
        """Whether a process with another parent is the one that was listed: its parent has died."""
        if self._table is not None:  # the parent in the table may have been another process
            self.disturbed = True
            return False
        return (child.start or before) < before

    def _choose_table(self, count: int, known: Mapping[int, Member]) -> None:
        """Read a table of all processes, once in a scan, where that costs less than the lists."""
        self._asked += count
        if self._table is not None or (CHILDREN_FILE and self._asked <= FEW):
            return
        if CHILDREN_FILE:
            if self._processes is None:
                self._processes = sys.maxsize if self._hides else procfs.count()
            if self._processes - len(known) >= self._asked:
                return
        self._processes = sys.maxsize  # once in a scan
        pids = self._handles.with_room(procfs.pids)
        self._handles.look([member for member in known.values() if member.state == ALIVE])
        living = {pid for pid, member in known.items() if member.state == ALIVE}
        table = self._handles.with_room(lambda: procfs.table(pids, living))
        if table.is_complete:
            self._table = table
        elif not CHILDREN_FILE:
            self._table, self.disturbed = table, True

    @functools.cached_property
    def _hides(self) -> bool:
        return procfs.hides_processes()

    def owns_number(self, member: Member) -> bool:
        """Whether it lives or is a zombie."""
        return self._handles.owns_number(member)

    def holds_session(self, leader: Member) -> bool:
        """Ask for the process, then for the group that it led."""
        return self._handles.holds_session(leader)

    def group_remains(self, leader: Member) -> bool:
        """Ask for the group of a reaped leader; a zombie counts in its own group."""
        return self._handles.group_remains(leader)

    def drop(self, member: Member) -> None:
        """Close its descriptor."""
        self._handles.drop(member)

    def candidates(
        self, roots: Sequence[Member], *, ours: bool, children: bool, everywhere: bool
    ) -> Iterable[int]:
        """List the children of init and of all ancestors, which may be subreapers (prctl(2)).

        Every process, where ancestors are hidden (``hidepid``, proc(5)) or a root is in another
        pid namespace, which has another init.
        """
        if self._reapers is None:
            here = procfs.namespace("self")
            lines = [self.ancestors(root.pid) for root in roots]
            if ours:
                lines.append(itertools.chain([os.getpid()], self.ancestors(os.getpid())))
            self._reapers = reapers = {1}
            for line in lines:  # up to where another one has been
                reapers.update(itertools.takewhile(lambda pid: pid not in reapers, line))
            hidden = any(procfs.parent(pid) is None for pid in reapers)
            if hidden:
                self.unseen |= SESSION | GROUP | MARKER
            self._everywhere = hidden or any(procfs.namespace(root.pid) != here for root in roots)
        if everywhere or self._everywhere:
            return self._handles.with_room(procfs.pids)
        below = [pid for parent in self._reapers for pid in self._adopted_by(parent)]
        if children:
            below += self._pids_below(os.getpid(), alone=False)
        return dict.fromkeys(below)

    def session(self, pid: int) -> int | None:
        """Ask getsid(2)."""
        return procfs.session(pid)

    def group(self, pid: int) -> int | None:
        """Ask getpgid(2)."""
        return procfs.group(pid)

    def lives(self, member: Member) -> bool:
        """Look at its descriptor, after an exit that is under way."""
        # An exit gives the children to another parent a moment before it can be seen. Both happen
        # under a lock that kill(2) waits for where it is told a group (exit_notify, kernel/exit.c).
        os.kill(0, 0)  # no signal, to our own group
        return not self._handles.look([member])

    def carries(self, pid: int, markers: Collection[bytes], since: int = 0) -> bool | None:
        """Read the environment that the process was started with."""
        found = self._handles.with_room(lambda: memory.carries(pid, markers, since))
        return False if found is None and not may_signal(pid) else found

    def ancestors(self, pid: int) -> Iterator[int]:
        """Read the parents up to the first process of the pid namespace."""
        line: set[int] = set()
        while (parent := self._parent(pid)) and parent not in line:
            line.add(pid := parent)
            yield parent

    def read_responses(self, members: Iterable[Member], signal_name: str) -> None:
        """Read the signal masks in ``status`` (proc_pid_status(5))."""
        number = getattr(signal.Signals, signal_name, None)
        for member in members:
            member.response = procfs.response(member.pid, number) if number else None

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
        return self._send(members, number, signal.SIGCONT) if number else Reply([], [])

    def freeze(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:
        """Send SIGSTOP, to the group first: that is atomic against a fork."""
        self._send_groups(groups, signal.SIGSTOP)
        return self._send(members, signal.SIGSTOP)

    def prove_stopped(self, members: Iterable[Member], until: float) -> None:
        """Read the states of all threads until none may be in fork(2)."""
        pause = FIRST_STOP_POLL
        looks_again = self.now() > self._begun + FRESH
        seen = [member for member in members if member.start is not None]
        for member in seen if looks_again else stops.not_stopped(seen):
            while (
                stops.may_fork(member, looks_again=looks_again)
                and self.owns_number(member)
                and not self._is_frozen(member)
            ):
                if self.now() >= until:
                    self.unseen |= DESCENDANT
                    return
                time.sleep(pause)
                pause = min(2 * pause, STOP_POLL)

    def kill(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:
        """Send SIGKILL to each member, then to the groups."""
        # Not the group first: if a parent dies before its frozen children, their groups are
        # orphaned, and the kernel continues them.
        members = list(members)
        reply = self._send(members, signal.SIGKILL)
        self._send_groups(groups, signal.SIGKILL)
        if self._frozen:
            self._killed += [member for member in members if member not in reply.denied]
            pids = [member.pid for member in self._killed if self.owns_number(member)]
            self._frozen = {folder for folder in self._frozen if not freezer.thaw(folder, pids)}
        return reply

    def release(self, members: Iterable[Member]) -> None:
        """Send SIGCONT."""
        self._send(members, signal.SIGCONT)

    def stopped(self, pid: int) -> bool:
        """Whether the state is T: stopped by a signal."""
        found = procfs.stat(pid)
        return found is not None and found.state == b"T"

    def is_about_to_notice(self, pid: int) -> bool:
        """Whether it runs: SIGCHLD makes a waiting parent runnable at once."""
        found = procfs.stat(pid)
        return found is not None and found.state == b"R"

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Sleep in poll(2) on the descriptors."""
        return self._handles.wait(members, until)

    def explain(self, members: Iterable[Member]) -> None:
        """Look for a freezer, a tracer, and a thread in uninterruptible sleep."""
        for member in members:
            reason = survival.reason(member.pid)
            if reason is not None and self.owns_number(member):
                member.note = "; ".join(filter(None, [member.note, reason]))

    def inspect(self, members: Iterable[Member]) -> None:
        """Ask waitid(2) for our children, the descriptor for other processes."""
        self._handles.inspect(members)

    def look_again(self, members: Iterable[Member]) -> None:
        """Read the stat lines; a zombie has one until its parent reaps it."""
        for member in members:
            if (found := self._handles.with_room(lambda: procfs.stat(member.pid))) is not None:  # noqa: B023 - called at once
                procfs.look_again(member, found)

    def cpu_used(self, members: Iterable[Member]) -> CpuSeconds | None:
        """Add up the stat lines."""
        return procfs.cpu_used(members)

    def zombies_of(self, parents: Iterable[Member]) -> list[Member]:
        """Return those that :meth:`children` has dropped."""
        pids = {parent.pid for parent in parents}
        return [m for m in self._dead.values() if m.state == ZOMBIE and m.ppid in pids]

    def memory_used(self, members: Iterable[Member]) -> int | None:
        """Add up the stat lines."""
        return procfs.memory_used(members)

    def holds(self, member: Member, files: Collection[tuple[int, int]]) -> bool:
        """Read ``/proc/PID/fd`` (proc_pid_fd(5))."""
        return procfs.holds(member.pid, files)

    def uids(self, member: Member) -> Sequence[int]:
        """Read the first two of the four uids in ``status`` (proc_pid_status(5))."""
        return [int(uid) for uid in procfs.status(member.pid).get(b"Uid", b"").split()[:2]]

    def arguments(self, member: Member) -> Sequence[str]:
        """Read ``cmdline`` (proc_pid_cmdline(5))."""
        return memory.arguments(member.pid)

    def name_among(self, member: Member, names: Collection[str]) -> str | None:
        """Read ``stat``, ``exe`` and ``cmdline``: the kernel cuts a name after 15 bytes."""
        from . import lookup  # noqa: PLC0415 - few kills need it

        found = self._handles.with_room(lambda: lookup.names_of(member.pid))
        if not found and may_signal(member.pid):
            return None
        return next((name for name in names if name in found), "")

    def details(self, member: Member) -> Details:
        """Read user, command line and age."""
        uids = self.uids(member)
        arguments = " ".join(self.arguments(member)).rstrip()
        age = None
        if member.start is not None:
            age = (procfs.ticks() - member.start) / os.sysconf("SC_CLK_TCK")
        return Details(procfs.user_name(uids[1]) if uids else None, arguments or None, age)

    def wake(self) -> None:
        """Wake the wait."""
        self._handles.wake()

    def close(self) -> None:
        """Close all descriptors."""
        self._handles.close()

    def _is_frozen(self, member: Member) -> bool:
        folder = freezer.folder_of(member.pid)
        if folder is None or not freezer.is_frozen(folder):
            return False
        self._frozen.add(folder)
        return True

    def _parent(self, pid: int) -> int | None:
        """Return the parent of a process, also where ``/proc`` does not show it."""
        if pid == os.getpid():
            return os.getppid()
        if (parent := procfs.parent(pid)) is not None:
            return parent
        if (member := self._handles.open(pid)) is None:
            return None
        self.drop(member)
        return member.ppid

    def _list(self, parent: Member) -> list[int]:
        threads, parent.threads = parent.threads, 0  # known when it is new
        if self._table is not None and parent.pid in self._table.pids:
            return self._table.below.get(parent.pid, [])
        threads = threads or procfs.threads(parent.pid)
        try:
            return self._pids_below(parent.pid, alone=threads == 1)
        except OSError as error:
            self._handles.make_room(error)
        return self._pids_below(parent.pid, alone=threads == 1)

    def _adopted_by(self, pid: int) -> list[int]:
        # Adopted children belong to the main thread while it runs (find_new_reaper, kernel/exit.c).
        found = procfs.stat(pid)
        return self._pids_below(pid, alone=found is not None and found.state != b"Z")

    def _pids_below(self, pid: int, *, alone: bool) -> list[int]:
        if CHILDREN_FILE:
            return procfs.children(pid, alone=alone)
        if self._table is None:
            self._choose_table(0, {})
        if self._table is None or pid not in self._table.pids:  # it is newer
            self.disturbed = True
            return []
        return self._table.below.get(pid, [])

    def _living(self, found: list[tuple[Member, Member]]) -> list[tuple[Member, Member]]:
        """Drop the dead; the list was read before one of them left a child to its parent."""
        for member in (dead := self._handles.look([child for _, child in found])):
            key = (member.pid, member.start)
            self.disturbed |= member.state == GONE or key not in self._dead
            self._dead[key] = member
            self.drop(member)
        return [pair for pair in found if pair[1].state == ALIVE] if dead else found

    def _send_groups(self, leaders: Iterable[Member], number: signal.Signals) -> None:
        """Signal whole groups; their members are signalled one by one as well."""
        for member in leaders:
            with contextlib.suppress(ProcessLookupError):  # an empty group
                self._handles.send_group(member, number)

    def _send(self, members: Iterable[Member], *numbers: signal.Signals) -> Reply:
        reply = Reply([], [])
        send, named = self._handles.send, [(number, number.name) for number in numbers]
        for member in members:
            try:
                for number, name in named:
                    send(member, number)
                    member.signals.append(name)
            except ProcessLookupError:
                reply.gone.append(member)
                member.state = GONE
            except PermissionError:
                reply.denied.append(member)
        return reply
