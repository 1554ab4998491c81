"""The escalation: ask, wait, freeze, kill, verify. Pure.

:meth:`Escalation.steps` is a generator.
It yields steps, receives facts, and returns what became of everybody.
It knows the policy and never the world: no clock, no signal, no system.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable

from .._models.policy import KillPolicy
from .._models.result import Fate
from .._systems.member import ALIVE, ANY_KEPT, Member, leaves_first
from .steps import (
    Ask,
    CloseInput,
    Facts,
    Freeze,
    Insist,
    Inspect,
    Kill,
    KillCells,
    Outcome,
    ProveStop,
    Rescan,
    Step,
    Wait,
    Way,
)

INPUT_SHARE = 0.25
"""The part of the grace that a closed standard input has before the first signal."""
SCAN_PAUSE = 10
"""During the grace a rescan waits for this many times what the last one took."""
FIRST_LOOK = 0.1
"""Seconds after the force until the first look for somebody who escaped it; doubles each time."""
STOP_SHARE = 0.25
"""The part of the time until the deadline that members have to be seen stopped."""
UNSURE_ROUNDS = 10
"""How often we try again where scans stay unsure: strangers may come and go for ever."""
SIGKILL_CODE = -9


Climb = Generator[Step, Facts, list[Outcome]]
Steps = Generator[Step, Facts, None]


class Escalation:
    """One kill from the first request to the last outcome."""

    def __init__(
        self,
        policy: KillPolicy,
        members: Iterable[Member],
        start: float,
        *,
        holds_input: bool = False,
        can_ask: bool = True,
        can_kill_cells: bool = False,
        can_insist: bool = False,
        force_code: int = SIGKILL_CODE,
        sure: bool = True,
    ) -> None:
        """Begin with the members of the first scan, the spared among them.

        Args:
            policy: the options.
            members: everybody whom the first scan found.
            start: when the call began.
            holds_input: whether :class:`CloseInput` has something to close.
            can_ask: whether the system has a polite signal.
            can_kill_cells: whether all who are kept together by the kernel may die at once.
            can_insist: whether the system has another way to force.
            force_code: the exit code of whom the force ended.
            sure: whether the first scan can have missed nobody.
        """
        self.policy = policy
        self.start = self.now = start
        self.hurry = False
        self.sure = sure
        self.holds_input = holds_input
        self.can_ask = can_ask
        self.can_kill_cells = can_kill_cells
        self.can_insist = can_insist
        self.force_code = force_code
        self.members: list[Member] = []
        self.living: dict[Member, None] = {}
        self.frozen: set[Member] = set()
        self.asked: set[Member] = set()
        self.killed: set[Member] = set()
        self.ended: set[Member] = set()
        self.denied: set[Member] = set()
        self.seen_dead: dict[Member, float] = {}
        self._admit(members)

    def steps(self, way: Way = "stop") -> Climb:
        """Yield the steps of the whole escalation, or of a part of it, and return the outcomes."""
        if way == "ask" and self.can_ask:
            yield from self._do(Rescan(light=True))
            yield from self._ask(self.start + self.policy.grace)
            if self.living and not self.asked:  # nothing polite could reach anybody
                yield from self._force(patient=False)
        elif way == "stop":
            if self.living and self.policy.grace and (self.can_ask or self.holds_input):
                yield from self._polite(self.start + self.policy.grace)
            if self.living or not self.sure:
                yield from self._force()
        elif self.living or not self.sure:
            yield from self._force(patient=False)
        dead = [one for one in self.members if one.spared is None and one not in self.living]
        yield from self._do(Inspect(dead))
        return [self._outcome(one) for one in leaves_first(self.members)]

    def _polite(self, until: float) -> Steps:
        """Ask everybody once, then wait; end early when a scan finds nobody."""
        if self.holds_input:
            yield from self._do(CloseInput())
            if self.can_ask:
                share = self.now + self.policy.grace * INPUT_SHARE
                yield from self._wait(self._roots(), min(share, until))
        if self.can_ask and not self.hurry:
            yield from self._do(Rescan(light=True))  # the newborn are asked as well
            yield from self._ask(until)
            if self.living and not (self.asked or self.holds_input):  # nobody heard anything
                return
        next_scan = self.now
        while self.now < until and not self.hurry:
            left = len(self.living)
            if self.living:
                yield from self._do(Wait(list(self.living), until))
            if not self.living or (len(self.living) < left and self.now >= next_scan):
                before = self.now
                yield from self._do(Rescan(light=bool(self.living)))
                next_scan = self.now + SCAN_PAUSE * (self.now - before)
            if not self.living:
                return
        if not self.living:
            yield from self._do(Rescan())

    def _ask(self, until: float) -> Steps:
        """Ask everybody, or the roots alone where that is the policy and one of them lives."""
        only_roots = self.policy.terminate == "root" and self._roots()
        asked = only_roots or list(self.living)
        if asked and not self.hurry:
            self.asked.update(asked)
            yield from self._do(Ask(leaves_first(asked), until))
            self.asked = {one for one in self.asked if not one.deaf}

    def _force(self, *, patient: bool = True) -> Steps:
        """Freeze, kill and look again, until nobody is left or the time is over.

        A scan that is not sure may have missed somebody in a storm of forks:
        then groups are frozen and killed although nobody is known in them.
        Without patience it is enough that nobody is left who was not killed.
        """
        deadline = self.now + self.policy.settle
        look = FIRST_LOOK
        yield from self._end()
        for rounds in itertools.count(1):
            yield from self._freeze(deadline)
            yield from self._kill()
            if patient:
                yield from self._wait(self._mortal(), min(deadline, self.now + look))
            yield from self._doubt_end()
            yield from self._do(Rescan())
            look *= 2
            if self.now >= deadline:
                break
            left = [one for one in self._mortal() if patient or one not in self.killed]
            if patient and self._wants_insistence(rounds):
                self.can_insist = False
                yield from self._do(Insist(leaves_first(self.living), deadline))
            elif not (left or self._unsure(rounds)):
                break
        yield from self._kill()
        if self.living:
            yield from self._do(Wait(list(self.living), self.now))

    def _end(self) -> Steps:
        """Have the kernel kill whom it keeps together: atomic, so there is nothing to freeze."""
        kept = [one for one in self.living if one.evidence & ANY_KEPT]
        if self.can_kill_cells:
            self.ended.update(kept)
            yield from self._do(KillCells(leaves_first(kept)))
            self.ended -= self.denied  # then each is killed by itself
            self.frozen |= self.ended
            self.killed |= self.ended

    def _doubt_end(self) -> Steps:
        """Have those killed one by one whom the kernel's order may have missed, once.

        Who lives still after a look is slow to die, or had left just before.
        """
        if self.can_kill_cells and self.living:
            yield from self._do(Wait(list(self.living), self.now))
            missed = self.ended.intersection(self.living)
            self.frozen -= missed
            self.killed -= missed
        self.can_kill_cells = False

    def _freeze(self, deadline: float) -> Steps:
        """Stop all members, and the newborn, until a scan finds no more.

        A parent that is seen stopped has left the kernel's fork, so its last child is listed by
        then. A scan before that proves nothing.
        """
        for rounds in itertools.count():
            running = [one for one in self.living if one not in self.frozen]
            if not running and not self._unsure(rounds):
                return
            self.frozen.update(running)
            yield from self._do(Freeze(leaves_first(running)[::-1]))
            stopping = [one for one in running if one in self.living and one not in self.denied]
            until = self.now + STOP_SHARE * max(deadline - self.now, 0)
            yield from self._do(ProveStop(stopping, until))
            yield from self._do(Rescan())
            if self.now >= deadline:
                return

    def _kill(self) -> Steps:
        """Kill whoever was not killed yet, the denied once as well."""
        doomed = [one for one in self.living if one not in self.killed]
        if doomed or not self.sure:
            self.killed.update(doomed)
            yield from self._do(Kill(leaves_first(doomed)))

    def _unsure(self, rounds: int) -> bool:
        """Tell whether the last scan may have missed somebody, and another could be better."""
        return not self.sure and rounds < UNSURE_ROUNDS

    def _wants_insistence(self, rounds: int) -> bool:
        """Tell whether the other way has its turn: only the denied are left, or it takes long."""
        return self.can_insist and bool(self.living) and (rounds > 1 or not self._mortal())

    def _wait(self, members: list[Member], until: float) -> Steps:
        """Wait until all of these are gone, or until this time."""
        while (left := [one for one in members if one in self.living]) and not (
            self.now >= until or (self.hurry and not self.killed)
        ):
            yield from self._do(Wait(left, until))

    def _roots(self) -> list[Member]:
        """Return the living roots."""
        return [one for one in self.living if not one.depth]

    def _mortal(self) -> list[Member]:
        """Return the living whom the system lets us end."""
        return [one for one in self.living if one not in self.denied]

    def _do(self, step: Step) -> Steps:
        """Yield one step and take in its facts."""
        facts = yield step
        self.now = facts.now
        self.hurry = self.hurry or facts.hurry
        if isinstance(step, Rescan):
            self.sure = facts.sure
        if isinstance(step, Ask | Freeze | Kill | KillCells | Insist):
            self.denied.difference_update(step.members)  # what was refused once may be allowed now
            self.denied.update(facts.denied)
        for one in facts.gone:
            if self.living.pop(one, self) is None:
                self.seen_dead[one] = facts.now
        self._admit(facts.appeared)

    def _admit(self, members: Iterable[Member]) -> None:
        """Take in members that were found; the dead and the spared only to be reported."""
        for one in members:
            self.members.append(one)
            if one.spared is None and one.state == ALIVE:
                self.living[one] = None

    def _outcome(self, one: Member) -> Outcome:
        """Say what became of a member."""
        seconds = self.seen_dead.get(one)
        when = None if seconds is None else seconds - self.start
        if one.spared is not None:
            fate = Fate.SPARED
        elif one in self.living:
            fate = Fate.DENIED if one in self.denied else Fate.SURVIVED
        elif one not in self.seen_dead:
            fate = Fate.ALREADY_GONE
        elif self._was_forced(one) and one.exit_code in (None, self.force_code):
            fate = Fate.KILLED
        else:
            fate = Fate.TERMINATED
        by_itself = fate is Fate.TERMINATED and one not in self.asked
        return Outcome(one, fate, when, "it left without being asked" if by_itself else one.note)

    def _was_forced(self, one: Member) -> bool:
        """Tell whether the force was used on it, in either way."""
        return one in self.killed or one in self.ended
