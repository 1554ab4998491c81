"""The escalation: ask, wait, freeze, kill, verify. Pure.

:meth:`Escalation.steps` yields steps, receives facts and returns outcomes.
It knows the policy; it has no clock, sends no signal and calls no system.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Mapping

from .._models.policy import KillPolicy
from .._models.result import Fate
from .._systems.member import ALIVE, ANY_KEPT, DIES, HANDLES, Member, leaves_first
from .request import Request, parents_of
from .steps import (
    AbandonHook,
    Ask,
    CallHook,
    CloseInput,
    Continue,
    Explain,
    Facts,
    FindTrackers,
    Freeze,
    Hold,
    HookState,
    Insist,
    Inspect,
    Kill,
    KillCells,
    Outcome,
    ProveStop,
    ReadResponses,
    Rescan,
    Step,
    Wait,
    Way,
)
from .trackers import IGNORED, may_be_tracker

INPUT_SHARE = 0.25  # of the first request's time, before its signal: for hook and closed input
LAST_LOOKS = 3  # at most, before the first request, while new members appear
SCAN_PAUSE = 10  # times the length of the last scan: the pause before the next in the grace
FIRST_PAUSE = 0.1  # seconds from the kill to the scan for escaped members; doubles each round
STOP_SHARE = 0.25  # of the time until the deadline, in which members must be seen stopped
UNSURE_ROUNDS = 10  # at most, on unsure scans: unrelated processes may come and go for ever
TRACKER_TIME = 0.2  # seconds that resource trackers have once all others are dead
SIGKILL_CODE = -9

Steps = Generator[Step, Facts, None]


class Escalation:
    """One kill, from the first request to the last outcome."""

    def __init__(
        self,
        policy: KillPolicy,
        members: Iterable[Member],
        start: float,
        *,
        has_hook: bool = False,
        holds_input: bool = False,
        can_kill_cells: bool = False,
        can_insist: bool = False,
        force_code: int = SIGKILL_CODE,
        sure: bool = True,
    ) -> None:
        """Begin with the members of the first scan.

        Args:
            policy: the options.
            members: what the first scan found, spared members included.
            start: when the call began.
            has_hook: whether :class:`CallHook` has something to call.
            holds_input: whether :class:`CloseInput` has something to close.
            can_kill_cells: whether all processes in the tree's cells may die at once.
            can_insist: whether the system has a second way to kill.
            force_code: the exit code of a killed process.
            sure: whether the first scan cannot have missed a member.
        """
        self.policy = policy
        self.start = self.now = start
        self.hurry = False
        self.sure = sure
        self.has_hook = has_hook
        self.hook: HookState | None = None
        self.holds_input = holds_input
        self.can_kill_cells = can_kill_cells
        self.can_insist = can_insist
        self.force_code = force_code
        self.members: list[Member] = []
        self.living: dict[Member, None] = {}  # an ordered set; spared members are not in it
        self.frozen: set[Member] = set()
        self.asked: set[Member] = set()
        self.told: set[Member] = set()  # in another way than by a signal
        self.parents: dict[Member, Member] = {}  # when they were asked
        self.forces = False
        self.trackers: set[Member] = set()  # they run while the others are killed
        self.trackers_had_time = False
        self.killed: set[Member] = set()
        self.killed_in_cells: set[Member] = set()
        self.cells_unchecked = False  # since the kernel killed them
        self.denied: set[Member] = set()
        self.seen_dead: dict[Member, float] = {}
        self.scanned = True  # fully, since the last death was seen
        self._add(members)

    def steps(self, way: Way = "stop") -> Generator[Step, Facts, list[Outcome]]:
        """Yield the steps of the escalation, or of a part of it, and return the outcomes."""
        if way == "ask":
            yield from self._do(Rescan(light=True))
            yield from self._ask_at_once()
            if self.living and not self.asked:  # no request reaches any of them
                yield from self._force(wait=False)
        else:
            if way == "stop" and self.living and self.policy.grace:
                yield from self._ask_and_wait()
            if self.living or not self.sure:
                yield from self._force(wait=way == "stop")
        meant = [member for member in self.members if member.spared is None]
        yield from self._do(Inspect([member for member in meant if member not in self.living]))
        return [self._outcome(member) for member in leaves_first(self.members)]

    def _ask_at_once(self) -> Steps:
        signal, seconds = self.policy.requests[0]
        members = yield from self._without_trackers(signal, leaves_first(self._meant()))
        self.asked.update(members)
        yield from self._do(Ask(members, self.start + seconds, signal, []))
        self.asked = {member for member in self.asked if not member.unreachable}

    def _ask_and_wait(self) -> Steps:
        """Ask without a signal where that is possible, then make each request of the policy."""
        if self.has_hook or self.holds_input:
            yield from self._ask_without_signal()
        if not self.hurry:
            yield from self._make_requests()
        if not (self.living or self.scanned):
            yield from self._do(Rescan())

    def _ask_without_signal(self) -> Steps:
        """Call the hook, then close the input; they share the first part of the time."""
        _, seconds = self.policy.requests[0]
        yield from self._do(CallHook() if self.has_hook else CloseInput())
        until = min(self.now + seconds * INPUT_SHARE, self.start + seconds)
        members = self._roots() or list(self.living)  # without a root: its children are meant
        if self.has_hook:
            yield from self._wait(members, until, or_hook=True)
            if self.hook == "running" and self._any_lives(members):
                yield from self._do(AbandonHook())
            if self.holds_input and self._any_lives(members) and not self.hurry:
                yield from self._do(CloseInput())
        if self.holds_input or self.hook == "returned":
            self.told.update(members)
        yield from self._wait(members, until)

    def _make_requests(self) -> Steps:
        signal, seconds = self.policy.requests[0]
        until = self.start + seconds
        for _ in range(LAST_LOOKS):
            before = self._meant()  # what is born later helps to clean up, and is never asked
            request = yield from self._prepare(signal, before, until)
            # Only now: a child that is born after this look is lost if its parent dies at once
            # of the signal, and no session, group or marker shows it.
            facts = yield from self._do(Rescan(light=True))
            if not facts.appeared:
                break
        else:
            before = self._meant()
            request = yield from self._prepare(signal, before, until)
        if self.living and self.now < until and not self.hurry:
            yield from self._request(request, before)
        for signal, seconds in self.policy.requests[1:]:
            until += seconds
            members = [member for member in before if member in self.living]
            if self.living and self.now < until and not self.hurry:
                request = yield from self._prepare(signal, members, until)
                yield from self._request(request, members)

    def _prepare(
        self, signal: str, members: list[Member], until: float
    ) -> Generator[Step, Facts, Request]:
        """Read what decides which of these are asked by a signal, and when."""
        top_down = self.policy.terminate == "top-down"
        parents = parents_of(self.living) if top_down else {}
        yield from self._read_responses(signal, members, parents)
        asked = yield from self._without_trackers(signal, members)
        return Request(signal, asked, parents, self.now, until)

    def _request(self, request: Request, members: list[Member]) -> Steps:
        """Ask from the top down or all at once, and wait for exits."""
        self.parents |= request.parents
        yield from self._ask(request)
        unasked = {*request.waiting} | {*members}.difference(request.members)
        stopped = [member for member in members if member.stopped and member in unasked]
        if stopped:
            yield from self._do(Continue(stopped))
        yield from self._wait_for_exits(request)

    def _read_responses(
        self, signal: str, members: list[Member], parents: Mapping[Member, Member]
    ) -> Steps:
        exposed = [member for member in members if member.exposed]
        if wanted := dict.fromkeys([*parents.values(), *exposed]):
            yield from self._do(ReadResponses(list(wanted), signal))
            below = [child for child, parent in parents.items() if parent.response == HANDLES]
            if unread := [child for child in below if child not in wanted]:
                yield from self._do(ReadResponses(unread, signal))

    def _hold(self, request: Request, ready: list[Member]) -> Steps:
        """Stop the exposed that die of the signal; what they have started is asked as well.

        It would be lost when its parent dies: no session, group or marker shows it.
        """
        held: set[Member] = set()
        while stopping := [
            member
            for member in ready
            if member.exposed and member.response == DIES and member not in held
        ]:
            held.update(stopping)
            yield from self._do(Hold(stopping))
            left = [m for m in stopping if m in self.living and m not in self.denied]
            until = self.now + STOP_SHARE * max(request.until - self.now, 0)
            yield from self._do(ProveStop(left, until))
            facts = yield from self._do(Rescan())
            born = [member for member in facts.appeared if member in self.living]
            if not born or self.policy.terminate == "root":
                return
            parents = {m: p for m, p in parents_of(self.living).items() if m in born}
            yield from self._read_responses(request.signal, born, parents)
            request.add(born, parents)
            ready += request.ready(self.now, self.living, self.denied)

    def _ask(self, request: Request) -> Steps:
        """Ask the members that are ready; an answer can make others ready at once."""
        while not self.hurry and (ready := request.ready(self.now, self.living, self.denied)):
            yield from self._hold(request, ready)
            if self.hurry:
                return
            others = list(request.waiting)
            self.asked.update(ready)
            step = Ask(ready, request.until, request.signal, others)
            facts = yield from self._do(step)
            for member in facts.asked:
                self.asked.add(member)
                request.tried.add(member)
                request.waiting.pop(member, None)
            self.asked = {member for member in self.asked if not member.unreachable}

    def _wait_for_exits(self, request: Request) -> Steps:
        """Wait until a scan finds no member, or the time is over; ask those that become ready."""
        next_scan = self.now
        while self.now < request.until and not self.hurry:
            if self.living and not request.waiting and not any(map(self._is_awaited, self.living)):
                return
            before = len(self.living)
            if self.living:
                yield from self._do(Wait(list(self.living), request.next_look(self.now)))
            if not self.living or (len(self.living) < before and self.now >= next_scan):
                scan_start = self.now
                yield from self._do(Rescan(light=bool(self.living)))
                next_scan = self.now + SCAN_PAUSE * (self.now - scan_start)
            if not self.living:
                return
            yield from self._ask(request)

    def _force(self, *, wait: bool) -> Steps:
        """Freeze, kill and scan again, until no member is left or ``settle`` is over.

        Without ``wait`` it is enough that each member was sent the kill.
        """
        self.forces = True
        deadline = self.now + self.policy.settle
        others_end = deadline - min(TRACKER_TIME, self.policy.settle / 2)
        pause = FIRST_PAUSE
        if self.can_kill_cells:
            yield from self._find_trackers()
            if all(member.is_tracker is False for member in self._interpreters()):
                yield from self._kill_cells()
        for rounds in itertools.count(1):
            yield from self._freeze(deadline)
            yield from self._hold_trackers(others_end)
            yield from self._kill()
            if wait:
                until = others_end if self.trackers else deadline
                yield from self._wait(self._not_denied(), min(until, self.now + pause))
            yield from self._check_cells()
            yield from self._do(Rescan())
            pause *= 2
            yield from self._await_trackers(others_end, wait=wait)
            if self.now >= deadline:
                break
            left = [member for member in self._not_denied() if wait or member not in self.killed]
            kill_failed = self.living and (rounds > 1 or not left)
            if wait and self.can_insist and kill_failed:
                self.can_insist = False
                yield from self._do(Insist(leaves_first(self.living), deadline))
            elif not (left or self._may_become_sure(rounds)):
                break
        yield from self._kill()
        if self.living:
            yield from self._do(Wait(list(self.living), self.now))
        survivors = [member for member in self._not_denied() if wait]
        if survivors:
            yield from self._do(Explain(survivors))

    def _kill_cells(self) -> Steps:
        """Kill the cells without a freeze: that is atomic, so no fork escapes it."""
        if self.can_kill_cells:
            self.can_kill_cells, self.cells_unchecked = False, True
            left = [member for member in self.living if member not in self.killed]
            kept = [member for member in left if member.evidence & ANY_KEPT]
            self.killed_in_cells.update(kept)
            yield from self._do(KillCells(leaves_first(kept)))
            self.killed_in_cells -= self.denied  # these are killed one by one
            self.frozen |= self.killed_in_cells
            self.killed |= self.killed_in_cells

    def _check_cells(self) -> Steps:
        """Let the next round freeze and kill survivors of the cells one by one.

        They are slow to die, or had left their cell just before.
        """
        if self.cells_unchecked and self.living:
            yield from self._do(Wait(list(self.living), self.now))
            missed = self.killed_in_cells.intersection(self.living)
            self.frozen -= missed
            self.killed -= missed
        self.cells_unchecked = False

    def _find_trackers(self) -> Steps:
        # Again, where the answer was no: a new process has its parent's arguments until execve(2).
        found = self._interpreters()
        if unread := [m for m in found if not m.is_tracker and m not in self.killed]:
            yield from self._do(FindTrackers(unread))

    def _interpreters(self) -> list[Member]:
        return [member for member in self.living if may_be_tracker(member.name)]

    def _without_trackers(
        self, signal: str, members: list[Member]
    ) -> Generator[Step, Facts, list[Member]]:
        """Return the members that this signal may be sent to: it may end a tracker too early."""
        if signal in IGNORED:
            return members
        yield from self._find_trackers()
        return [member for member in members if not member.is_tracker]

    def _hold_trackers(self, until: float) -> Steps:
        """Let trackers run before the others are killed, while these are stopped.

        If the parent of a stopped process dies, the kernel may send SIGHUP to its group.
        """
        if not self.trackers_had_time and self.now < until:
            yield from self._find_trackers()
            found = [m for m in self._not_denied() if m.is_tracker and m not in self.killed]
            if held := [member for member in found if member not in self.trackers]:
                self.trackers.update(held)
                self.frozen -= self.trackers
                yield from self._do(Continue(held))
        if not self.trackers:
            yield from self._kill_cells()

    def _await_trackers(self, until: float, *, wait: bool) -> Steps:
        """Let trackers end once the others are dead; then freeze and kill what is left of them.

        Without ``wait`` it is enough that the others were sent the kill.
        """
        others = [m for m in self._not_denied() if m not in self.trackers]
        others_left = [member for member in others if wait or member not in self.killed]
        if not self.trackers or (others_left and self.now < until):
            return
        if not others_left:
            yield from self._wait(list(self.trackers), min(until, self.now + TRACKER_TIME))
            yield from self._do(Rescan())
        self.trackers.clear()
        self.trackers_had_time = True

    def _freeze(self, deadline: float) -> Steps:
        """Stop all members, parents first, until a scan finds no new one."""
        for rounds in itertools.count():
            held = self.frozen | self.trackers
            running = [member for member in self.living if member not in held]
            if not running and not self._may_become_sure(rounds):
                return
            self.frozen.update(running)
            yield from self._do(Freeze(leaves_first(running)[::-1], groups=not self.trackers))
            # A parent that is seen stopped has left the kernel's fork, so its last child is
            # listed. A scan before that proves nothing.
            stopping = [
                member for member in running if member in self.living and member not in self.denied
            ]
            until = self.now + STOP_SHARE * max(deadline - self.now, 0)
            yield from self._do(ProveStop(stopping, until))
            yield from self._do(Rescan())
            if self.now >= deadline:
                return

    def _kill(self) -> Steps:
        """Kill each member once, denied ones too; but no tracker that has its time still."""
        done = self.killed | self.trackers
        left = [member for member in self.living if member not in done]
        # After an unsure scan the groups may hold members that are not known: kill those as well.
        if left or not self.sure:
            self.killed.update(left)
            yield from self._do(Kill(leaves_first(left), groups=not self.trackers))

    def _wait(self, members: list[Member], until: float, *, or_hook: bool = False) -> Steps:
        """Wait until all of these are dead, or until this time; a hurry ends the grace only.

        With ``or_hook`` the end of the hook ends it as well.
        """
        while (left := [member for member in members if member in self.living]) and not (
            self.now >= until
            or (self.hurry and not self.forces)
            or (or_hook and self.hook != "running")
        ):
            yield from self._do(Wait(left, until))

    def _may_become_sure(self, rounds: int) -> bool:
        return not self.sure and rounds < UNSURE_ROUNDS

    def _meant(self) -> list[Member]:
        """Return the members that are asked; only the roots if that is the policy and one lives."""
        only_roots = self.policy.terminate == "root" and self._roots()
        return only_roots or list(self.living)

    def _roots(self) -> list[Member]:
        return [member for member in self.living if not member.depth]

    def _any_lives(self, members: Iterable[Member]) -> bool:
        return any(member in self.living for member in members)

    def _is_awaited(self, member: Member) -> bool:
        """Whether a member may leave: it was asked, or was not to be."""
        return member in self.told or not (member.unreachable or member in self.denied)

    def _not_denied(self) -> list[Member]:
        return [member for member in self.living if member not in self.denied]

    def _do(self, step: Step) -> Generator[Step, Facts, Facts]:
        """Yield one step and take in its facts."""
        facts = yield step
        self.now = facts.now
        self.hurry = self.hurry or facts.hurry
        self.hook = facts.hook
        if isinstance(step, Rescan):
            self.sure = facts.sure
            self.scanned = self.scanned or not step.light
        if isinstance(step, Ask | Freeze | Hold | Kill | KillCells | Insist):
            self.denied.difference_update(step.members)  # what was refused once may be allowed now
            self.denied.update(facts.denied)
        for member in facts.gone:
            if member in self.living:
                del self.living[member]
                self.seen_dead[member] = facts.now
                self.scanned = False
        for member in facts.spared:
            self.living.pop(member, None)
        self._add(facts.appeared)
        return facts

    def _add(self, members: Iterable[Member]) -> None:
        """Add members; the dead and the spared are only reported."""
        for member in members:
            self.members.append(member)
            if member.spared is None and member.state == ALIVE:
                self.living[member] = None

    def _outcome(self, member: Member) -> Outcome:
        seen_dead = self.seen_dead.get(member)
        seconds = None if seen_dead is None else seen_dead - self.start
        forced = member in self.killed or member in self.killed_in_cells
        if member.spared is not None:
            fate = Fate.SPARED
        elif member in self.living:
            fate = Fate.DENIED if member in self.denied else Fate.SURVIVED
        elif seen_dead is None:
            fate = Fate.ALREADY_GONE
        elif forced and member.exit_code in (None, self.force_code):
            fate = Fate.KILLED
        else:
            fate = Fate.TERMINATED
        by_itself = fate is Fate.TERMINATED and (member.is_tracker or member not in self.asked)
        return Outcome(
            member, fate, seconds, self._why_it_left(member) if by_itself else member.note
        )

    def _why_it_left(self, member: Member) -> str:
        if member.is_tracker:
            return "it is a resource tracker, which leaves once its clients are dead"
        while (parent := self.parents.get(member)) is not None:
            member = parent
            if member in self.asked:
                return "it left after a process above it was asked"
        if self.hook is not None:
            return "it left after the shutdown hook was called"
        return "it left without being asked"
