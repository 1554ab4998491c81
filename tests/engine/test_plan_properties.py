"""Pure: what holds for every tree, whatever facts the plan receives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from proctree_kill._engine.plan import TRACKER_TIME
from proctree_kill._engine.steps import (
    Ask,
    CallHook,
    CloseInput,
    Continue,
    Facts,
    Freeze,
    Inspect,
    Kill,
    KillCells,
    Rescan,
    Step,
    Wait,
)
from proctree_kill._models.result import Fate
from proctree_kill._systems.member import (
    ALIVE,
    DIES,
    HANDLES,
    IGNORES,
    ZOMBIE,
    Member,
    leaves_first,
)
from support.play import TICK, Actor, Play

EDGE = 16  # as many steps as may be under way, or still to do, when a time is over
RESTLESS = 48 * TICK  # a wait whose end takes longer than this ends for no reason

ticks = st.integers(0, 1024).map(lambda count: count * TICK)
maybe = st.none() | ticks
refusals = st.lists(st.sampled_from([Ask, Freeze, Kill, KillCells]), max_size=4, unique=True).map(
    tuple
)
actors = st.builds(
    Actor,
    depth=st.integers(0, 3),
    leaves=maybe,
    reads=maybe,
    dies=maybe,
    kept=st.just("never") | maybe,
    ends=maybe,
    appears=maybe | st.sampled_from([Ask, Freeze, Kill, Rescan]),
    denies=st.just(()) | refusals,
    code=st.none() | st.integers(-64, 255),
    spared=st.none() | st.just("by the caller"),
    state=st.just(ALIVE) | st.sampled_from([ALIVE, ZOMBIE]),
    response=st.sampled_from([None, DIES, HANDLES, HANDLES, IGNORES]),
    outlives=st.just("never") | st.just("never") | maybe,
)


class Watched(Play):
    """A play whose steps take longer, whose waits end early, and whose every step is judged."""

    def __init__(
        self,
        actors: Sequence[Actor],
        costs: Sequence[int],
        parents: Sequence[int | None],
        **options: Any,
    ) -> None:
        for index, (actor, parent) in enumerate(zip(actors, parents, strict=False)):
            if parent is not None and parent < index:
                actor.ppid, actor.depth = actors[parent].pid, actors[parent].depth + 1
        super().__init__(*actors, **options)
        self.costs = [cost * TICK for cost in costs]
        self.frozen: set[Member] = set()
        self.denied: set[Member] = set()
        self.forced_by = self.force_time = math.inf
        self.forced: set[Member] = set()  # the living when the force began

    def reply(self, step: Step, *, hurry: bool, woken: bool) -> Facts:
        self.judge(step)
        cost = self.costs[len(self.steps) % len(self.costs)]
        facts = super().reply(step, hurry=hurry, woken=woken or cost > RESTLESS)
        self.now += cost
        self.denied.update(facts.denied)
        return facts._replace(now=self.now)

    def judge(self, step: Step) -> None:
        """Fail where a step names a member that it must not name."""
        named = getattr(step, "members", [])
        assert len(named) == len({*named})
        assert {*named} <= {*self.escalation.members}
        assert not [member for member in named if member.spared]
        if isinstance(step, Inspect):
            assert not {*named} & {*self.escalation.living}
            assert {*self.deaths} <= {*named}
        if isinstance(step, Ask | Wait | Freeze | Kill | KillCells):
            assert not {*named} & {*self.deaths}
            assert not [member for member in named if member.state != ALIVE]
        if isinstance(step, Kill | KillCells):
            assert named == leaves_first(named)
        if self.escalation.forces and self.forced_by == math.inf:
            self.force_time, self.forced = self.seconds, {*self.escalation.living}
            self.forced_by = self.now + self.policy.settle
        if isinstance(step, Freeze):
            self.frozen.update(named)
        if isinstance(step, Continue) and self.frozen:
            assert all(member.is_tracker for member in named)
            self.frozen.difference_update(named)
            stopped = self.frozen | self.denied | self.escalation.killed
            running = {*self.escalation.living} - stopped
            assert not [member for member in running if not member.is_tracker]
        if isinstance(step, Kill) and self.now < self.forced_by:
            assert {*named} <= self.frozen | self.denied
            self.judge_trackers(named)

    def judge_trackers(self, named: Sequence[Member]) -> None:
        """Fail where a tracker is killed before its time was over, though there was time."""
        plan, share = self.escalation, min(TRACKER_TIME, self.policy.settle / 2)
        in_time = self.now < self.forced_by - share - 2 * self.slowest
        if in_time and not plan.trackers_had_time:
            assert {member for member in named if member.is_tracker} <= self.denied
        if in_time and [member for member in named if member.is_tracker]:
            assert {*plan.living} - plan.trackers <= plan.killed

    @property
    def slowest(self) -> float:
        """Return how long the slowest step takes."""
        return max(self.costs) + TICK


plays = st.builds(
    Watched,
    st.lists(actors, max_size=6),
    st.lists(st.integers(1, 64), min_size=1, max_size=5),
    st.lists(st.none() | st.integers(0, 4), max_size=6),
    hook=st.none() | ticks | st.just(math.inf),
    hook_raises=st.booleans(),
    holds_input=st.booleans(),
    unsure=st.just(0) | st.integers(0, 40),
    can_kill_cells=st.booleans(),
    grace=ticks,
    settle=ticks,
    terminate=st.sampled_from(["top-down", "top-down", "tree", "root"]),
)
requests = st.lists(
    st.tuples(st.sampled_from(["SIGINT", "SIGTERM", "SIGHUP"]), st.integers(1, 1024)),
    min_size=1,
    max_size=3,
    unique_by=lambda request: request[0],
)
moments = st.none() | st.integers(0, 30)
whatever_happens = settings(
    deadline=None, max_examples=100, phases=[Phase.reuse, Phase.generate, Phase.shrink]
)
pytestmark = pytest.mark.timeout(120)  # only a failure that is being shrunk takes so long


@whatever_happens
@given(plays, moments)
def test_no_step_names_a_forbidden_member_and_none_is_killed_unfrozen(
    play: Watched, hurry_at: int | None
) -> None:
    play.run(hurry_at)


@whatever_happens
@given(plays, moments)
def test_every_member_has_one_outcome(play: Watched, hurry_at: int | None) -> None:
    play.run(hurry_at)
    judged = [outcome.member for outcome in play.outcomes]
    assert len(judged) == len({*judged})
    assert {*judged} == {*play.escalation.members}
    assert judged == leaves_first(judged)


@whatever_happens
@given(plays, moments)
def test_every_outcome_is_true(play: Watched, hurry_at: int | None) -> None:
    play.run(hurry_at)
    for member, fate, seconds, _ in play.outcomes:
        assert (fate is Fate.SPARED) == (member.spared is not None)
        assert (member in play.deaths) == (seconds is not None)
        assert (seconds is not None) == (fate in (Fate.TERMINATED, Fate.KILLED))
        if fate is Fate.ALREADY_GONE:
            assert member.state == ZOMBIE
        if fate is Fate.KILLED:
            assert play.times(Kill, member.name) or play.times(KillCells, member.name)
        if fate is Fate.DENIED:
            assert member in play.denied


@whatever_happens
@given(plays, moments)
def test_the_deadline_is_kept_whatever_the_facts(play: Watched, hurry_at: int | None) -> None:
    play.run(hurry_at)
    bound = play.policy.grace + play.policy.settle
    assert play.seconds <= bound + EDGE * play.slowest


@whatever_happens
@given(plays, moments)
def test_the_force_does_not_begin_while_a_member_can_be_asked(
    play: Watched, hurry_at: int | None
) -> None:
    assume(not play.unsure)
    play.run(hurry_at)
    hurried = len(play.steps) if hurry_at is None else hurry_at
    early = [time for time, _ in play.steps[:hurried] if time < play.policy.grace]
    if play.force_time in early:
        assert play.forced <= play.denied  # no request reaches what is left


@whatever_happens
@given(plays, moments)
def test_each_request_is_made_once(play: Watched, hurry_at: int | None) -> None:
    play.run(hurry_at)
    assert play.kinds.count(CallHook) <= 1
    assert play.kinds.count(CloseInput) <= 1
    for kind in (Ask, Kill, KillCells):
        named = [name for names in play.names(kind) for name in names]
        assert len(named) == len({*named})


@whatever_happens
@given(plays)
def test_each_member_that_was_there_first_is_asked_before_the_force(play: Watched) -> None:
    assume(play.policy.terminate != "root" and bool(play.policy.grace))
    play.run()
    asks = [index for index, kind in enumerate(play.kinds) if kind is Ask]
    force = next(i for i, kind in enumerate([*play.kinds, Freeze]) if kind in (Freeze, KillCells))
    asked = {name for names in play.names(Ask) for name in names}
    for actor in play.known:
        lives = actor.state == ALIVE and not actor.spared
        dead_by = play.deaths.get(actor, len(play.steps))
        if asks and lives and dead_by > force and play.steps[asks[-1]][0] < play.policy.grace:
            assert actor.name in asked


@whatever_happens
@given(plays, requests)
def test_no_step_of_a_teardown_asks_a_member_twice(
    play: Watched, teardown: list[tuple[str, int]]
) -> None:
    steps = [(signal, ticks * TICK) for signal, ticks in teardown]
    play.escalation.policy = play.policy = play.policy.but(teardown=steps)
    play.run()
    made = [step for _, step in play.steps if isinstance(step, Ask)]
    assert [step.signal for step in made] == sorted(
        (step.signal for step in made), key=[signal for signal, _ in steps].index
    )
    for signal, _ in steps:
        named = [member for step in made if step.signal == signal for member in step.members]
        assert len(named) == len({*named})


@whatever_happens
@given(plays, moments)
def test_where_all_are_dead_a_scan_followed_the_last_death(
    play: Watched, hurry_at: int | None
) -> None:
    play.run(hurry_at)
    if play.now < play.forced_by and not play.denied and not play.escalation.living and play.deaths:
        assert play.is_scanned_last()


@whatever_happens
@given(plays)
def test_a_member_that_can_die_dies_where_there_is_time(play: Watched) -> None:
    play.run()
    if play.now < play.forced_by:
        assert Fate.SURVIVED not in play.fates.values()
