"""A system without processes: scripted ones on a clock that moves during waits.

Numbers begin beyond what any kernel gives out, so that nothing could reach a real process.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from proctree_kill._systems.contract import Details, Reply, System
from proctree_kill._systems.member import ALIVE, DESCENDANT, GONE, ZOMBIE, Member

FIRST = 5_000_001  # the number of the first process; Linux ends at 4194304 (proc(5), pid_max)
TICK = 1 / 1024  # seconds that each batch of signals and each scan takes
HZ = 1024  # how many units of start time a second has


@dataclass(eq=False, kw_only=True)
class Process:
    """A process, and how it behaves.

    Args:
        name: its name, by which tests know it.
        pid: its number.
        ppid: its parent's.
        sid: its session's.
        pgid: its process group's.
        start: when it began, in units of :meth:`FakeSystem.start_clock`.
        leaves: seconds after it was asked until it leaves; None if it does not.
        dies: seconds after it was killed until it is dead; None if it cannot die.
        refuses: the verbs (ask, freeze, kill, release) that the system refuses on it.
        notices: seconds after a child of it stopped until it stops too, as su and script do.
        environment: what it was started with.
        stopped: whether it is stopped.
        stops: seconds after it was frozen until it is seen stopped; None if it is not.
        hides: whether its environment cannot be read.
        death: when it is to die.
        code: its exit code.
        reaped: whether its number is free.
        seen_from: when it can be seen; a number is given out before, while the fork goes on.
        arguments: what it was started with.
        outlives: seconds after the death of all others until it leaves, as a resource tracker;
            None if it does not.
    """

    name: str
    pid: int
    ppid: int
    sid: int
    pgid: int
    start: int
    leaves: float | None = 0.0
    dies: float | None = 0.0
    refuses: tuple[str, ...] = ()
    notices: float | None = None
    environment: frozenset[bytes] = frozenset()
    stopped: bool = False
    stops: float | None = 0.0
    hides: bool = False
    death: float | None = None
    code: int | None = None
    reaped: bool = False
    seen_from: float = 0.0
    arguments: tuple[str, ...] = ()
    outlives: float | None = None


@dataclass(frozen=True)
class Act:
    """What the system was asked to do, when, and to which processes; ``groups`` for whole ones."""

    verb: str
    time: float
    names: tuple[str, ...]
    groups: tuple[str, ...] = ()


@dataclass
class FakeSystem(System):
    """A :class:`~proctree_kill._systems.contract.System` that acts on nothing.

    Args:
        counts: whether it can be known that no process was started.
        unreachable: the names of processes that cannot be asked.
        log: all that was done, in order; listeners of a test may add to it.
        later: what runs later, and when.
        raises: an exception for each method that shall raise, from the first freeze on.
    """

    boot_id: str | None = "boot"
    disturbed: bool = False
    hurried: bool = False
    woken: bool = False
    closed: bool = False
    counts: bool = True
    insists: bool = False
    force_code: int = -9
    keeps_links: bool = False
    unseen: int = 0
    unreachable: tuple[str, ...] = ()
    time: float = 64.0
    log: list[Act] = field(default_factory=list)
    later: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    raises: dict[str, BaseException] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.numbers = itertools.count(FIRST)
        self.processes: dict[int, Process] = {}
        self.members: dict[Member, Process] = {}
        self.caller = self._add(
            Process(name="caller", pid=os.getpid(), ppid=1, sid=1, pgid=1, start=0)
        )

    def spawn(self, name: str, parent: Process | None = None, **behaviour: object) -> Process:
        """Start a process below the caller or another.

        ``leads`` gives it a session of its own, ``groups`` a process group.
        """
        parent = parent or self.caller
        pid = next(self.numbers)
        sid = pid if behaviour.pop("leads", False) else parent.sid
        pgid = pid if sid == pid or behaviour.pop("groups", False) else parent.pgid
        process = Process(
            name=name, pid=pid, ppid=parent.pid, sid=sid, pgid=pgid, start=self.start_clock()
        )
        for key, value in behaviour.items():
            assert hasattr(process, key)
            setattr(process, key, value)
        return self._add(process)

    def at(self, seconds: float, happens: Callable[[], object]) -> None:
        """Run a function so many seconds from now."""
        self.later.append((self.time + seconds, happens))

    def die(self, process: Process, code: int = 0) -> None:
        """End a process, once; its children become orphans under init."""
        if process.death is not None:
            return
        process.death, process.code = self.time, code
        for child in self.processes.values():
            if child.ppid == process.pid:
                child.ppid = 1
        self._let_trackers_leave()

    def verbs(self) -> list[str]:
        return [act.verb for act in self.log]

    def acts(self, verb: str) -> list[Act]:
        return [act for act in self.log if act.verb == verb]

    def names(self, verb: str) -> list[str]:
        """Return the names of the processes to which something was done, in order."""
        return [name for act in self.acts(verb) for name in act.names]

    def living(self) -> set[str]:
        alive = [process for process in self.processes.values() if process.death is None]
        return {process.name for process in alive if process is not self.caller}

    def note(self, verb: str, *names: str, groups: Sequence[str] = ()) -> None:
        self.log.append(Act(verb, self.time, names, tuple(groups)))

    def now(self) -> float:
        return self.time

    def start_clock(self) -> int:
        """Return the virtual time in units of start time."""
        return int(self.time * HZ)

    def begin_scan(self) -> None:
        self._pass(TICK)

    def last_start(self) -> int | None:
        """Return how many processes were started, if this system counts them."""
        self._fail("last_start")
        return len(self.processes) if self.counts else None

    def is_youngest(self, pid: int) -> bool:
        return bool(self.processes) and max(self.processes) == pid

    def refusal(self, pid: int, member: Member | None) -> str | None:  # noqa: ARG002 - its number is enough here
        return "it is init" if pid == 1 else None

    def name_among(self, member: Member, names: Collection[str]) -> str | None:
        """Return the name that the process has now."""
        process = self.members[member]
        return None if process.hides else process.name if process.name in names else ""

    def bind(self, pid: int) -> Member | None:
        process = self.processes.get(pid)
        if process is None or process.reaped:
            return None
        member = Member(pid, process.ppid)
        member.boot_id = self.boot_id
        member.sid, member.pgid = process.sid, process.pgid
        member.start, member.name = process.start, process.name
        member.state = ALIVE if process.death is None else ZOMBIE
        member.stopped = process.stopped
        self.members[member] = process
        return member

    def children(
        self, parents: Sequence[Member], known: Mapping[int, Member]
    ) -> list[tuple[Member, Member]]:
        found = []
        for parent in parents:
            pids = [process.pid for process in self._seen() if process.ppid == parent.pid]
            bound = [self.bind(pid) for pid in pids if not self._is_known(pid, known)]
            found += [(parent, child) for child in bound if child and self._is_alive(parent)]
        return found

    def owns_number(self, member: Member) -> bool:
        return not self.members[member].reaped

    def holds_session(self, leader: Member) -> bool:
        """Whether it or a process of its session or group is there."""
        unreaped = [process for process in self.processes.values() if not process.reaped]
        led = {number for process in unreaped for number in (process.sid, process.pgid)}
        return self.owns_number(leader) or leader.pid in led

    def group_remains(self, leader: Member) -> bool:
        """Whether a process of its session is there when it is reaped."""
        return not self.owns_number(leader) and self.holds_session(leader)

    def drop(self, member: Member) -> None:
        del self.members[member]

    def candidates(self, roots: Sequence[Member], **_: bool) -> Iterable[int]:  # noqa: ARG002 - every process is a candidate in a small world
        return [process.pid for process in self._seen() if process is not self.caller]

    def session(self, pid: int) -> int | None:
        process = self.processes.get(pid)
        return None if process is None else process.sid

    def group(self, pid: int) -> int | None:
        process = self.processes.get(pid)
        return None if process is None else process.pgid

    def lives(self, member: Member) -> bool:
        return self._is_alive(member)

    def carries(self, pid: int, markers: Collection[bytes], since: int = 0) -> bool | None:  # noqa: ARG002 - a look costs
        process = self.processes.get(pid)
        if process is not None and process.hides:
            return None
        return process is not None and not process.environment.isdisjoint(markers)

    def ancestors(self, pid: int) -> list[int]:
        line: list[int] = []
        while (process := self.processes.get(pid)) is not None:
            pid = process.ppid
            line.append(pid)
        return line

    def ask(
        self,
        members: Iterable[Member],
        signal_name: str,
        until: float,  # noqa: ARG002 - nothing helps
        others: Sequence[Member],  # noqa: ARG002 - each is reached by itself
    ) -> Reply:
        """Ask; a stopped process is continued, and leaves if it is not stopped again before."""

        def act(process: Process) -> None:
            process.stopped = False
            if process.leaves is not None:
                self.at(process.leaves, lambda: self._leave(process))

        members = list(members)
        for member in members:
            member.unreachable = self.members[member].name in self.unreachable
        return self._signal(
            "ask", signal_name, [member for member in members if not member.unreachable], act
        )

    def freeze(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:
        """Stop them, groups first, and each parent that stops with a child."""
        groups = list(groups)
        for process in self._of_groups(groups):
            self._stop(process)
        reply = self._signal("freeze", "SIGSTOP", members, self._stop, groups)
        self._fail("freeze")
        return reply

    def prove_stopped(self, members: Iterable[Member], until: float) -> None:
        """Wait for the slowest of those that are frozen."""
        delays = [self.members[member].stops for member in members]
        self._pass(
            min(until, self.time + max([delay or 0.0 for delay in delays], default=0)) - self.time
        )
        if None in delays:
            self.unseen |= DESCENDANT

    def kill(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:
        self._fail("kill")
        groups = list(groups)

        def act(process: Process) -> None:
            if process.dies is not None:
                self.at(process.dies, lambda: self.die(process, -9))

        reply = self._signal("kill", "SIGKILL", members, act, groups)
        for process in self._of_groups(groups):
            act(process)
        return reply

    def insist(self, members: Iterable[Member], until: float) -> Reply:
        """End them, the refusing ones as well, in a tick."""
        assert until >= self.time
        members = list(members)
        self.note("insist", *self._names(members))
        for member in members:
            self.die(self.members[member], self.force_code)
        self._pass(TICK)
        return Reply([member for member in members if not self._is_alive(member)], [])

    def release(self, members: Iterable[Member]) -> None:

        def act(process: Process) -> None:
            process.stopped = False

        self._signal("release", "SIGCONT", members, act)
        self._let_trackers_leave()

    def stopped(self, pid: int) -> bool:
        process = self.processes.get(pid)
        return process is not None and process.death is None and process.stopped

    def is_about_to_notice(self, pid: int) -> bool:
        """Whether a parent that follows has yet to stop."""
        process = self.processes[pid]
        return process.notices is not None and not process.stopped

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Move the clock to the first death, to the next thing that happens, or to the time."""
        self._fail("wait")
        self.note("wait", *self._names(members))
        while True:
            dead = [member for member in members if not self._is_alive(member)]
            if dead or self.time >= until or self.woken:
                self.woken = False
                return dead
            moments = [time for time, _ in self.later]
            self._pass(min([until, *moments]) - self.time)

    def inspect(self, members: Iterable[Member]) -> None:
        for member in members:
            member.exit_code = self.members[member].code

    def uids(self, member: Member) -> Sequence[int]:  # noqa: ARG002 - the contract's
        return ()

    def arguments(self, member: Member) -> Sequence[str]:
        return self.members[member].arguments

    def details(self, member: Member) -> Details:
        return Details(command=member.name)

    def wake(self) -> None:
        """End the wait that is going on, or the next one."""
        self.woken = True

    def close(self) -> None:
        self.closed = True

    def explain(self, members: Iterable[Member]) -> None:
        for member in members:
            member.note = "it cannot die"

    def _let_trackers_leave(self) -> None:
        """Have trackers leave when all others are dead."""
        others = [
            process
            for process in self._alive()
            if process.outlives is None and process is not self.caller
        ]
        for process in self._alive():
            if process.outlives is not None and not others:
                self.at(process.outlives, partial(self._leave, process, 0))

    def _add(self, process: Process) -> Process:
        self.processes[process.pid] = process
        return process

    def _alive(self) -> list[Process]:
        return [process for process in self.processes.values() if process.death is None]

    def _seen(self) -> list[Process]:
        return [process for process in self._alive() if process.seen_from <= self.time]

    def _is_alive(self, member: Member) -> bool:
        """Look at a member, and note what is seen."""
        process = self.members[member]
        if process.death is not None:
            member.state = GONE if process.reaped else ZOMBIE
        return process.death is None

    def _is_known(self, pid: int, known: Mapping[int, Member]) -> bool:
        """Whether a number is a member's still."""
        member = known.get(pid)
        return member is not None and self.owns_number(member)

    def _names(self, members: Iterable[Member]) -> list[str]:
        return [self.members[member].name for member in members]

    def _of_groups(self, leaders: Iterable[Member]) -> list[Process]:
        """Return the living of whole sessions; here each has one group."""
        sids = {leader.pid for leader in leaders}
        return [process for process in self._alive() if process.sid in sids]

    def _signal(
        self,
        verb: str,
        signal: str,
        members: Iterable[Member],
        act: Callable[[Process], object],
        groups: Iterable[Member] = (),
    ) -> Reply:
        reply = Reply([], [])
        members = list(members)
        if members or verb != "release":
            self.note(verb, *self._names(members), groups=self._names(groups))
        for member in members:
            if not self._is_alive(member):
                reply.gone.append(member)
            elif verb in self.members[member].refuses:
                reply.denied.append(member)
            else:
                member.signals.append(signal)
                act(self.members[member])
        self._pass(TICK)
        return reply

    def _leave(self, process: Process, code: int = -15) -> None:
        """Act on the request, if it is not stopped."""
        if not process.stopped:
            self.die(process, code)

    def _stop(self, process: Process) -> None:
        """Stop a process, and its parent with it where that one notices before the child dies."""
        process.stopped = True
        parent = self.processes.get(process.ppid)
        if parent is not None and parent.notices is not None:
            self.at(parent.notices, lambda: self._follow(process, parent))

    def _follow(self, child: Process, parent: Process) -> None:
        """Stop a parent whose child is stopped still."""
        if child.stopped and child.death is None:
            parent.stopped = True

    def _pass(self, seconds: float) -> None:
        end = self.time + max(seconds, 0)
        while due := [event for event in self.later if event[0] <= end]:
            first = min(due, key=lambda event: event[0])
            self.later.remove(first)
            self.time = max(self.time, first[0])
            first[1]()
        self.time = end

    def _fail(self, method: str) -> None:
        """Raise where a test wants it and a process is stopped."""
        if method in self.raises and self.acts("freeze"):
            self.time += TICK  # or a caller that tries again would do so for ever
            raise self.raises[method]
