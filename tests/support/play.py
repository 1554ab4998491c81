"""Gives facts to a plan, on a clock that only the play moves."""

from __future__ import annotations

import itertools
import math
from typing import Literal, Self

from proctree_kill._engine.plan import Escalation
from proctree_kill._engine.steps import (
    AbandonHook,
    Ask,
    CallHook,
    CloseInput,
    Continue,
    Facts,
    FindTrackers,
    Freeze,
    HookState,
    Inspect,
    Kill,
    KillCells,
    Outcome,
    Rescan,
    Step,
    Wait,
    Way,
)
from proctree_kill._models.policy import KillPolicy
from proctree_kill._models.result import Fate
from proctree_kill._systems.member import ALIVE, KEPT, Member

START = 4096.0  # when every play begins
TICK = 1 / 1024  # seconds that a step takes; sums of it are exact
STEPS = 20_000  # more steps than any play has; a plan that takes more does not end

_numbers = itertools.count(1)


class Actor(Member):
    """A member, and how it behaves.

    Args:
        name: its name in tests; None is its number.
        depth: how far it is below its root.
        leaves: seconds after it was asked until it leaves; None if it does not.
        obeys: seconds after the call of the shutdown hook until it leaves; None if it does not.
        reads: seconds after the closing of its input until it leaves; None if it does not.
        dies: seconds after it was killed until it is dead; None if it cannot die.
        kept: seconds after the kernel ended all that it keeps together until it is dead, None if
            it left them unseen; without this it was never kept.
        ends: seconds after the start when it leaves on its own.
        appears: None if the first scan finds it; else it is found by the first scan that is
            so many seconds after the start, or that follows a step of this kind.
        denies: the kinds of steps that the system refuses on it.
        code: its exit code.
        spared: why it is spared.
        state: alive, or dead from the first.
        parent: its parent, one level above it.
        response: how it responds to a signal, as the system shows it; None where it does not.
        outlives: of a resource tracker: seconds after the death of all others until it leaves,
            unless it is frozen then, or None if it does not; without this it is no tracker.
    """

    def __init__(
        self,
        name: str | None = None,
        depth: int = 0,
        *,
        leaves: float | None = None,
        obeys: float | None = None,
        reads: float | None = None,
        dies: float | None = 0.0,
        kept: float | Literal["never"] | None = "never",
        ends: float | None = None,
        appears: float | type[Step] | None = None,
        denies: tuple[type[Step], ...] = (),
        code: int | None = None,
        spared: str | None = None,
        state: str = ALIVE,
        parent: Member | None = None,
        response: str | None = None,
        outlives: float | Literal["never"] | None = "never",
    ) -> None:
        super().__init__(next(_numbers))
        self.tracks, self.frozen = outlives != "never", False
        self.outlives = None if outlives == "never" else outlives
        self.name = name or f"{'python' if self.tracks else ''}#{self.pid}"
        self.depth, self.spared, self.state = depth, spared, state
        self.response = response
        if parent is not None:
            self.ppid, self.depth = parent.pid, parent.depth + 1
        self.delays = {Ask: leaves, CallHook: obeys, CloseInput: reads, Kill: dies}
        if kept != "never":
            self.evidence, self.delays[KillCells] = KEPT["cgroup"], kept
        self.appears = appears
        self.denies = denies
        self.code = code
        self.death = None if ends is None else START + ends

    def react(self, step: Step, now: float) -> None:
        self.frozen = isinstance(step, Freeze) or (self.frozen and not isinstance(step, Continue))
        if isinstance(step, FindTrackers):
            self.is_tracker = self.tracks
        delay = self.delays.get(type(step))
        if delay is not None and (self.death is None or now + delay < self.death):
            self.death = now + delay

    def is_dead(self, now: float) -> bool:
        """Whether it has died by now."""
        return self.death is not None and self.death <= now


class Play:
    """One plan among actors.

    Attributes:
        steps: what the plan did and when, in seconds since the start.
        deaths: the step that reported the death of each member.
        seconds: how long it took.
    """

    def __init__(
        self,
        *actors: Actor,
        hook: float | None = None,
        hook_raises: bool = False,
        holds_input: bool = False,
        can_kill_cells: bool = False,
        unsure: int = 0,
        **options: object,
    ) -> None:
        """Prepare a plan.

        Args:
            actors: the members.
            hook: seconds that the shutdown hook takes; None where there is none.
            hook_raises: whether it raises then.
            holds_input: as for the plan.
            can_kill_cells: as for the plan.
            unsure: how many scans are unsure.
            options: those of the policy.
        """
        self.hook = hook
        self.hook_raises = hook_raises
        self.hook_state: HookState | None = None
        self.hook_end = math.inf
        self.policy = KillPolicy().but(**options)
        self.waiting = [actor for actor in actors if actor.appears is not None]
        self.known = known = [actor for actor in actors if actor.appears is None]
        self.unsure = unsure
        self.escalation = Escalation(
            self.policy,
            known,
            START,
            has_hook=hook is not None,
            holds_input=holds_input,
            can_kill_cells=can_kill_cells,
            sure=not unsure,
        )
        self.now = START
        self.steps: list[tuple[float, Step]] = []
        self.deaths: dict[Member, int] = {}
        self.outcomes: list[Outcome] = []

    def run(self, hurry_at: int | None = None, *, way: Way = "stop") -> Self:
        """Play to the end; the caller is in a hurry from the step with this index on."""
        steps = self.escalation.steps(way)
        try:
            step = next(steps)
            while True:
                index = len(self.steps)
                assert index < STEPS
                self.steps.append((self.now - START, step))
                hurry = hurry_at is not None and index >= hurry_at
                facts = self.reply(step, hurry=hurry, woken=index == hurry_at)
                self.deaths.update(
                    (outcome, index) for outcome in facts.gone if outcome not in self.deaths
                )
                step = steps.send(facts)
        except StopIteration as end:
            self.outcomes = end.value
        return self

    def reply(self, step: Step, *, hurry: bool, woken: bool) -> Facts:
        """Act out one step and return the facts."""
        members = self._members(step)
        dead = [member for member in members if member.is_dead(self.now)]
        refused = [
            member for member in members if type(step) in member.denies and member not in dead
        ]
        if isinstance(step, CallHook):
            self._call_hook(hurry=hurry)
            members = self._actors()
        if isinstance(step, AbandonHook):
            self.hook_state = "abandoned"
        if isinstance(step, CloseInput):
            members = [actor for actor in self._actors() if not actor.depth]
        for member in members:
            if member not in refused:
                member.react(step, self.now)
        self._let_trackers_leave()
        appeared = self._appear() if isinstance(step, Rescan) else []
        if isinstance(step, Rescan) and self.unsure:
            self.unsure -= 1
        self._pass_time(step, woken=woken)
        if isinstance(step, Wait):
            dead = [member for member in members if member.is_dead(self.now)]
        if isinstance(step, Inspect):
            dead = []
            for member in members:
                member.exit_code = member.code
        self._end_hook()
        return Facts(
            self.now,
            dead,
            refused,
            appeared,
            hurry=hurry,
            sure=not self.unsure,
            hook=self.hook_state,
        )

    def _let_trackers_leave(self) -> None:
        """Have each tracker that runs leave in its time, if all others will be dead."""
        deaths = [
            actor.death for actor in self._actors() if not (actor.tracks or actor.state != ALIVE)
        ]
        last = max([death for death in deaths if death is not None], default=self.now)
        for actor in self._actors():
            if actor.outlives is not None and not actor.frozen and None not in deaths:
                end = max(last, self.now) + actor.outlives
                actor.death = end if actor.death is None else min(actor.death, end)

    def _call_hook(self, *, hurry: bool) -> None:
        assert self.hook is not None
        if not hurry:
            self.hook_state, self.hook_end = "running", self.now + self.hook

    def _end_hook(self) -> None:
        if self.hook_state == "running" and self.hook_end <= self.now:
            self.hook_state = "raised" if self.hook_raises else "returned"

    @property
    def seconds(self) -> float:
        return self.now - START

    @property
    def kinds(self) -> list[type[Step]]:
        return [type(step) for _, step in self.steps]

    @property
    def fates(self) -> dict[str | None, Fate]:
        """Return the fate of each member by name."""
        return {outcome.member.name: outcome.fate for outcome in self.outcomes}

    def names(self, kind: type[Step]) -> list[list[str | None]]:
        """Return the members that each step of a kind named, in order."""
        found = [step for _, step in self.steps if isinstance(step, kind)]
        return [[actor.name for actor in self._members(step)] for step in found]

    def times(self, kind: type[Step], name: str | None = None) -> list[float]:
        """Return when steps of a kind came, of all or of those that name this one."""
        return [
            time
            for time, step in self.steps
            if isinstance(step, kind)
            and (name is None or name in [actor.name for actor in self._members(step)])
        ]

    def is_scanned_last(self) -> bool:
        """Whether a whole scan followed the last reported death."""
        last = max(self.deaths.values(), default=-1)
        return Rescan(light=False) in [step for _, step in self.steps[last + 1 :]]

    def _members(self, step: Step) -> list[Actor]:
        return [member for member in getattr(step, "members", []) if isinstance(member, Actor)]

    def _actors(self) -> list[Actor]:
        return [member for member in self.escalation.members if isinstance(member, Actor)]

    def _appear(self) -> list[Actor]:
        kinds = self.kinds
        found = [
            actor
            for actor in self.waiting
            if (
                actor.appears in kinds
                if isinstance(actor.appears, type)
                else self.seconds >= (actor.appears or 0)
            )
        ]
        self.waiting = [actor for actor in self.waiting if actor not in found]
        return found

    def _pass_time(self, step: Step, *, woken: bool) -> None:
        """Move the clock by the time of a step; a wait ends with the first death or when woken."""
        if not isinstance(step, Wait):
            self.now += TICK
        elif not woken:
            deaths = [actor.death for actor in self._members(step) if actor.death is not None]
            ends = [self.hook_end] if self.hook_state == "running" else []
            self.now = max(self.now, min([*deaths, *ends, step.until]))
