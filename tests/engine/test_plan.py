"""Pure: each history of the escalation, played on a virtual clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from proctree_kill._engine.plan import INPUT_SHARE
from proctree_kill._engine.steps import (
    Ask,
    CloseInput,
    Explain,
    Freeze,
    Inspect,
    Kill,
    KillCells,
    ProveStop,
    Rescan,
    Wait,
    Way,
)
from proctree_kill._models.result import Fate
from proctree_kill._systems.member import ZOMBIE
from support.play import START, STEPS, TICK, Actor, Play

FEW = 16 * TICK  # what a handful of steps takes
GRACE = 2.0
SETTLE = 5.0


def play(*actors: Actor, **options: Any) -> Play:
    """Set a scene with the usual times."""
    given = {"grace": GRACE, "settle": SETTLE} | options
    return Play(*actors, **given)


def test_every_member_leaves_when_asked() -> None:
    done = play(Actor("root", leaves=0.5), Actor("child", 1, leaves=0.25)).run()
    assert done.fates == {"child": Fate.TERMINATED, "root": Fate.TERMINATED}
    assert [outcome.detail for outcome in done.outcomes] == [None, None]
    assert not {Freeze, Kill} & {*done.kinds}
    assert 0.5 <= done.seconds < 0.5 + FEW
    assert done.is_scanned_last()


def test_the_time_of_each_death_is_reported() -> None:
    done = play(Actor("root", leaves=0.5), Actor("child", 1, leaves=0.25)).run()
    seconds = {outcome.member.name: outcome.seconds or 0 for outcome in done.outcomes}
    assert 0.25 <= seconds["child"] < 0.25 + FEW
    assert 0.5 <= seconds["root"] < 0.5 + FEW


def test_a_process_started_before_the_request_is_asked_as_well() -> None:
    late = Actor("late", 1, appears=0.0, leaves=0.25)
    done = play(Actor("root", leaves=0.5), late).run()
    assert done.names(Ask) == [["late", "root"]]


@pytest.mark.parametrize("grace", [0.25, 2.0, 60.0])
def test_a_member_that_ignores_the_request_is_killed_right_after_the_grace(
    grace: float,
) -> None:
    done = play(Actor("root"), Actor("child", 1, leaves=0.125), grace=grace).run()
    assert done.fates == {"child": Fate.TERMINATED, "root": Fate.KILLED}
    assert grace <= done.times(Freeze)[0] < grace + 2 * TICK
    assert grace < done.times(Kill)[0] < grace + FEW
    assert done.names(Kill) == [["root"]]


def test_no_process_is_asked_twice() -> None:
    done = play(Actor("root"), Actor("child", 1, leaves=0.5)).run()
    assert len(done.times(Ask)) == 1


def test_members_left_at_the_request_are_not_waited_for() -> None:
    done = play(Actor("root", ends=0)).run()
    assert done.seconds < FEW


def test_without_a_grace_the_force_begins_at_once() -> None:
    done = play(Actor("root", leaves=0.0), Actor("child", 1), holds_input=True, grace=0.0).run()
    assert done.kinds[0] is Freeze
    assert not {CloseInput, Ask} & {*done.kinds}
    assert done.fates == {"child": Fate.KILLED, "root": Fate.KILLED}


def test_only_the_root_is_asked_in_mixed_mode() -> None:
    done = play(Actor("root", leaves=0.5), Actor("child", 1, ends=0.75), terminate="root").run()
    assert done.names(Ask) == [["root"]]
    assert done.fates == {"child": Fate.TERMINATED, "root": Fate.TERMINATED}


def test_in_mixed_mode_the_others_are_killed_after_the_grace() -> None:
    done = play(Actor("root", leaves=0.5), Actor("child", 1, leaves=0.0), terminate="root").run()
    assert GRACE <= done.times(Freeze, "child")[0] < GRACE + FEW
    assert done.fates == {"child": Fate.KILLED, "root": Fate.TERMINATED}


def test_all_roots_are_asked_in_mixed_mode() -> None:
    roots = [Actor("one", leaves=0.5), Actor("two", leaves=0.25)]
    done = play(*roots, Actor("child", 1, ends=0.125), terminate="root").run()
    assert done.names(Ask) == [["one", "two"]]


def test_the_input_is_closed_before_any_request() -> None:
    done = play(Actor("root", leaves=0.0), holds_input=True).run()
    assert done.kinds[0] is CloseInput
    share = GRACE * INPUT_SHARE
    assert share <= done.times(Ask)[0] < share + FEW


def test_no_process_is_asked_where_all_leave_on_the_closed_input() -> None:
    done = play(Actor("root", reads=0.25), holds_input=True).run()
    assert not {Ask, Freeze, Kill} & {*done.kinds}
    assert done.fates == {"root": Fate.TERMINATED}
    assert [outcome.detail for outcome in done.outcomes] == ["it left without being asked"]
    assert 0.25 <= done.seconds < 0.25 + FEW
    assert done.is_scanned_last()


def test_what_the_root_leaves_on_the_closed_input_is_asked_at_once() -> None:
    child = Actor("child", 1, leaves=0.125)
    done = play(Actor("root", reads=0.25), child, holds_input=True).run()
    assert done.names(Ask) == [["child"]]
    assert 0.25 <= done.times(Ask)[0] < 0.25 + FEW
    assert done.fates == {"child": Fate.TERMINATED, "root": Fate.TERMINATED}


def test_the_share_of_the_input_is_part_of_the_grace() -> None:
    done = play(Actor("root"), holds_input=True).run()
    assert GRACE <= done.times(Freeze)[0] < GRACE + FEW


def test_the_share_of_the_input_ends_with_the_grace_when_the_time_before_was_long() -> None:
    late = play(Actor("root"), holds_input=True)
    late.now += GRACE - 0.25
    late.run()
    assert late.times(Freeze)[0] < GRACE + FEW


def test_a_helper_started_during_the_grace_is_awaited_and_not_asked() -> None:
    helper = Actor("helper", 2, appears=0.25, ends=1.0)
    done = play(Actor("root", leaves=1.5), Actor("child", 1, leaves=0.5), helper).run()
    assert ["helper"] not in [[name] for asked in done.names(Ask) for name in asked]
    assert done.fates == dict.fromkeys(("helper", "child", "root"), Fate.TERMINATED)
    assert 1.5 <= done.seconds < 1.5 + FEW


def test_a_helper_that_stays_is_killed_at_the_end_of_the_grace() -> None:
    helper = Actor("helper", 2, appears=0.25, leaves=0.0)
    done = play(Actor("root", leaves=0.5), helper).run()
    assert not done.times(Ask, "helper")
    assert GRACE <= done.times(Freeze, "helper")[0] < GRACE + FEW
    assert done.fates == {"helper": Fate.KILLED, "root": Fate.TERMINATED}


def test_a_helper_that_the_last_member_leaves_has_the_rest_of_the_grace() -> None:
    helper = Actor("helper", 1, appears=0.25, ends=1.0)
    done = play(Actor("root", leaves=0.5), helper).run()
    assert done.fates == {"helper": Fate.TERMINATED, "root": Fate.TERMINATED}
    assert not done.times(Freeze)


def test_children_found_while_freezing_are_frozen_before_any_kill() -> None:
    late, later = Actor("late", 2, appears=Freeze), Actor("later", 3, appears=3 * TICK)
    done = play(Actor("root"), Actor("child", 1), late, later, grace=0.0).run()
    frozen = [name for names in done.names(Freeze) for name in names]
    assert frozen == ["root", "child", "late", "later"]
    assert max(done.times(Freeze)) < done.times(Kill)[0]
    assert done.names(Kill) == [["later", "late", "child", "root"]]


def test_a_freeze_is_followed_by_scans_until_one_finds_nothing() -> None:
    done = play(Actor("root"), Actor("late", 1, appears=Freeze), grace=0.0).run()
    steps = done.kinds[: done.kinds.index(Kill)]
    assert steps == [Freeze, ProveStop, Rescan] * 2


@pytest.mark.parametrize("way", ["stop", "force"])
def test_each_stop_is_proved_before_the_newborn_are_looked_for(way: Way) -> None:
    done = play(Actor("root"), Actor("child", 1), grace=0.0).run(way=way)
    assert done.kinds[:4] == [Freeze, ProveStop, Rescan, Kill]
    assert done.names(ProveStop) == [["root", "child"]]


def test_no_stop_is_proved_of_a_protected_or_dead_process() -> None:
    denied, dead = Actor("denied", 1, denies=(Freeze,)), Actor("dead", 1, ends=0)
    done = play(Actor("root"), denied, dead, grace=0.0).run()
    assert done.names(ProveStop)[0] == ["root"]


def test_the_proof_leaves_time_for_the_kill() -> None:
    done = play(Actor("root"), grace=0.0, settle=4.0).run()
    (until,) = [step.until for _, step in done.steps if isinstance(step, ProveStop)]
    assert 1.0 <= until - START < 1.0 + FEW


def test_no_scan_of_the_frozen_and_the_killed_may_be_left_out() -> None:
    done = play(Actor("root"), Actor("late", 1, appears=Kill), grace=0.0).run()
    assert {step.light for _, step in done.steps if isinstance(step, Rescan)} == {False}


def test_parents_are_frozen_before_their_children() -> None:
    depths = {"b": 2, "a": 1, "root": 0, "c": 3}
    done = play(*(Actor(name, depth) for name, depth in depths.items()), grace=0.0).run()
    assert done.names(Freeze) == [["root", "a", "b", "c"]]


def test_a_member_found_after_the_kill_is_frozen_and_killed_too() -> None:
    escaped = Actor("escaped", 1, appears=Kill)
    done = play(Actor("root"), escaped, grace=0.0).run()
    assert done.names(Freeze) == [["root"], ["escaped"]]
    assert done.names(Kill) == [["root"], ["escaped"]]
    assert done.fates == {"escaped": Fate.KILLED, "root": Fate.KILLED}
    assert done.is_scanned_last()


def test_a_scan_follows_the_last_kill() -> None:
    done = play(Actor("root", dies=1.0), grace=0.0).run()
    assert done.fates == {"root": Fate.KILLED}
    assert 1.0 <= done.seconds < 1.0 + FEW
    assert done.is_scanned_last()


def test_scans_go_on_while_a_killed_process_takes_its_time() -> None:
    escaped = Actor("escaped", 1, appears=1.0)
    done = play(Actor("root", dies=4.0), escaped, grace=0.0).run()
    assert 1.0 <= done.times(Kill, "escaped")[0] < 3.0
    assert done.fates == {"escaped": Fate.KILLED, "root": Fate.KILLED}


def test_no_process_is_killed_twice() -> None:
    done = play(Actor("root", dies=None), Actor("child", 1, appears=Kill), grace=0.0).run()
    assert done.names(Kill) == [["root"], ["child"]]


def test_a_member_that_cannot_die_survives_at_the_deadline() -> None:
    done = play(Actor("root"), Actor("stuck", 1, dies=None)).run()
    assert done.fates == {"stuck": Fate.SURVIVED, "root": Fate.KILLED}
    assert GRACE + SETTLE <= done.seconds < GRACE + SETTLE + FEW
    assert [outcome.seconds is None for outcome in done.outcomes] == [True, False]


@pytest.mark.parametrize("kinds", [(Ask, Freeze, Kill), (Freeze, Kill), (Kill,)])
def test_denied_members_delay_nothing_and_are_not_waited_for(kinds: tuple[type[Kill], ...]) -> None:
    denied = Actor("denied", 1, denies=kinds)
    done = play(Actor("root", dies=0.25), denied, grace=0.0).run()
    assert done.fates == {"denied": Fate.DENIED, "root": Fate.KILLED}
    assert 0.25 <= done.seconds < 0.25 + FEW


def test_a_lone_denied_member_is_reported_at_once() -> None:
    done = play(Actor("root", denies=(Freeze, Kill)), grace=0.0).run()
    assert done.fates == {"root": Fate.DENIED}
    assert done.seconds < FEW


def test_a_denied_member_that_leaves_is_not_reported_as_alive() -> None:
    done = play(Actor("root"), Actor("denied", 1, denies=(Ask,), ends=1.0)).run()
    assert done.fates == {"denied": Fate.TERMINATED, "root": Fate.KILLED}


def test_what_was_refused_once_may_be_allowed_later() -> None:
    setuid = Actor("setuid", 1, denies=(Ask,), dies=0.5)
    done = play(Actor("root"), setuid).run()
    assert done.names(Freeze) == [["root", "setuid"]]
    assert done.fates == {"setuid": Fate.KILLED, "root": Fate.KILLED}


def test_even_the_denied_are_tried_by_force_once() -> None:
    done = play(Actor("root"), Actor("denied", 1, denies=(Ask, Freeze, Kill))).run()
    assert len(done.times(Kill, "denied")) == 1


@pytest.mark.parametrize("refused", [False, True], ids=["unreachable", "denied"])
@pytest.mark.parametrize("terminate", ["top-down", "tree"])
def test_the_grace_ends_when_all_that_were_asked_have_left(
    terminate: str, *, refused: bool
) -> None:
    child = Actor("child", 1, ends=1.5, denies=(Ask,) if refused else ())
    child.unreachable = not refused
    done = play(Actor("root", leaves=0.5), child, terminate=terminate).run()
    assert done.fates == {"child": Fate.KILLED, "root": Fate.TERMINATED}
    assert 0.5 <= done.seconds < 0.5 + FEW


def test_a_lone_member_that_cannot_be_asked_has_no_grace() -> None:
    done = play(Actor("root", denies=(Ask, Freeze, Kill), ends=1.0)).run()
    assert done.fates == {"root": Fate.DENIED}
    assert done.seconds < FEW


@pytest.mark.parametrize("hook", [None, 0.25], ids=["input", "hook"])
def test_another_request_than_a_signal_is_to_the_root_alone(hook: float | None) -> None:
    root, child = Actor("root", reads=0.5, obeys=0.5), Actor("child", 1)
    root.unreachable = child.unreachable = True
    done = play(root, child, hook=hook, holds_input=hook is None).run()
    assert done.fates == {"child": Fate.KILLED, "root": Fate.TERMINATED}
    assert 0.5 <= done.seconds < 0.5 + FEW


def test_a_root_that_was_asked_in_another_way_is_awaited() -> None:
    root, child = Actor("root", reads=1.5), Actor("child", 1)
    root.unreachable = child.unreachable = True
    done = play(root, child, holds_input=True).run()
    assert done.fates == {"child": Fate.KILLED, "root": Fate.TERMINATED}
    assert 1.5 <= done.seconds < 1.5 + FEW


def test_a_helper_that_started_after_the_request_is_awaited() -> None:
    helper = Actor("helper", 1, appears=Ask, ends=1.5)
    child = Actor("child", 1)
    child.unreachable = True
    done = play(Actor("root", leaves=0.5), child, helper).run()
    assert done.fates["helper"] is Fate.TERMINATED
    assert 1.5 <= done.seconds < 1.5 + FEW


def test_a_survivor_is_explained_at_the_end() -> None:
    denied = Actor("denied", 1, denies=(Freeze, Kill))
    done = play(Actor("root", dies=None), denied, Actor("child", 1), grace=0.0).run()
    assert done.names(Explain) == [["root"]]
    assert done.times(Explain)[0] >= SETTLE


def test_leaves_come_first_and_roots_last() -> None:
    depths = {"root": 0, "b": 2, "a": 1, "other root": 0, "c": 3}
    done = play(*(Actor(name, depth) for name, depth in depths.items())).run()
    order = ["c", "b", "a", "root", "other root"]
    assert done.names(Ask) == [order]
    assert done.names(Kill) == [order]
    assert [outcome.member.name for outcome in done.outcomes] == order


def test_the_spared_are_in_no_step() -> None:
    spared = Actor("spared", 1, spared="by the caller")
    late = Actor("late", 2, appears=Freeze, spared="below")
    done = play(Actor("root"), spared, late).run()
    for kind in (Ask, Wait, Freeze, Kill, Inspect):
        assert not done.times(kind, "spared")
        assert not done.times(kind, "late")
    assert done.fates == {"late": Fate.SPARED, "spared": Fate.SPARED, "root": Fate.KILLED}


def test_where_all_are_spared_nothing_is_done() -> None:
    done = play(Actor("root", spared="by the caller")).run()
    assert not {Ask, Freeze, Kill} & {*done.kinds}
    assert done.fates == {"root": Fate.SPARED}


def test_a_member_that_is_dead_at_the_start_is_already_gone() -> None:
    done = play(Actor("root", state=ZOMBIE), Actor("child", 1, leaves=0.0)).run()
    assert done.names(Ask) == [["child"]]
    assert done.fates == {"child": Fate.TERMINATED, "root": Fate.ALREADY_GONE}
    assert done.outcomes[-1].seconds is None


def test_a_member_that_a_scan_finds_dead_is_already_gone() -> None:
    late = Actor("late", 1, appears=Freeze, state=ZOMBIE)
    done = play(Actor("root"), late, grace=0.0).run()
    assert not done.times(Freeze, "late")
    assert done.fates == {"late": Fate.ALREADY_GONE, "root": Fate.KILLED}


def test_an_empty_tree_needs_nothing() -> None:
    assert play().run().outcomes == []


@pytest.mark.parametrize(
    ("code", "fate"),
    [(None, Fate.KILLED), (-9, Fate.KILLED), (-15, Fate.TERMINATED), (0, Fate.TERMINATED)],
)
def test_the_exit_code_says_which_of_two_signals_it_was(code: int | None, fate: Fate) -> None:
    done = play(Actor("root", code=code)).run()
    assert done.times(Ask)
    assert done.times(Kill)
    assert done.fates == {"root": fate}


def test_how_the_dead_ended_is_read_once_at_the_end() -> None:
    done = play(Actor("root"), Actor("child", 1, leaves=0.5), Actor("stuck", 1, dies=None)).run()
    assert done.kinds[-1] is Inspect
    assert done.kinds.count(Inspect) == 1
    assert {*done.names(Inspect)[0]} == {"child", "root"}


def test_where_a_scan_is_unsure_whole_groups_are_forced_without_known_members() -> None:
    done = play(Actor("root", leaves=0.25), unsure=STEPS).run()
    assert done.names(Freeze)[0] == done.names(Kill)[0] == []
    assert done.fates == {"root": Fate.TERMINATED}


def test_while_scans_are_unsure_the_force_is_repeated() -> None:
    done = play(Actor("root"), grace=0.0, unsure=STEPS).run()
    assert len(done.times(Kill)) > 2
    assert done.seconds < 1.0


def test_a_sure_scan_ends_the_force_against_the_unknown() -> None:
    done = play(Actor("root", leaves=0.25), unsure=3).run()
    assert done.names(Freeze) == [[]]
    assert done.names(Kill) == []


def test_a_member_found_after_an_unsure_scan_is_killed_like_the_others() -> None:
    late = Actor("late", 1, appears=Freeze)
    done = play(Actor("root", leaves=0.25), late, unsure=4).run()
    assert done.fates == {"late": Fate.KILLED, "root": Fate.TERMINATED}


def test_scans_that_stay_unsure_do_not_keep_us_until_the_deadline() -> None:
    done = play(Actor("root", leaves=0.25), unsure=STEPS).run()
    assert done.seconds < 1.0


def test_what_the_kernel_keeps_together_is_ended_at_once_and_unfrozen() -> None:
    done = play(
        Actor("root", kept=0.0), Actor("child", 1, kept=0.0), can_kill_cells=True, grace=0
    ).run()
    assert done.names(KillCells) == [["child", "root"]]
    assert done.names(Freeze) == done.names(Kill) == []
    assert done.fates == {"child": Fate.KILLED, "root": Fate.KILLED}
    assert done.seconds < FEW
    assert done.is_scanned_last()


def test_a_member_outside_the_kernel_s_reach_is_frozen_and_killed_last() -> None:
    done = play(Actor("root", kept=0.0), Actor("outside", 1), can_kill_cells=True, grace=0).run()
    assert done.names(KillCells) == [["root"]]
    assert done.names(Freeze) == done.names(Kill) == [["outside"]]
    assert done.fates == {"outside": Fate.KILLED, "root": Fate.KILLED}


@pytest.mark.parametrize("way", ["stop", "force"])
def test_a_process_that_left_before_the_kernel_s_order_is_killed_alone(way: Way) -> None:
    leaver = Actor("leaver", 1, kept=None)
    done = play(Actor("root", kept=0.0), leaver, can_kill_cells=True, grace=0).run(way=way)
    assert done.names(KillCells) == [["leaver", "root"]]
    assert "leaver" in done.names(Freeze)[0]
    assert "leaver" in done.names(Kill)[0]
    assert done.fates == {"leaver": Fate.KILLED, "root": Fate.KILLED}


def test_where_the_kernel_refuses_each_process_is_killed_by_itself() -> None:
    kept = [
        Actor("root", kept=0.0, denies=(KillCells,)),
        Actor("child", 1, kept=0.0, denies=(KillCells,)),
    ]
    done = play(*kept, can_kill_cells=True, grace=0).run()
    assert done.names(Freeze) == [["root", "child"]]
    assert done.names(Kill) == [["child", "root"]]
    assert {*done.fates.values()} == {Fate.KILLED}


class Storm(Play):
    """A tree in which every scan finds one more."""

    def _appear(self) -> list[Actor]:
        return [Actor(f"started at {self.seconds}", 1)]


def test_a_storm_of_forks_ends_at_the_deadline() -> None:
    done = Storm(Actor("root"), grace=0.25, settle=0.5).run()
    assert done.seconds < 0.75 + FEW
    frozen = {name for names in done.names(Freeze) for name in names}
    killed = {name for names in done.names(Kill) for name in names}
    assert len(frozen) > 100
    assert frozen <= killed


def test_without_a_time_to_settle_the_force_is_used_all_the_same() -> None:
    done = play(Actor("root"), Actor("child", 1), settle=0.0).run()
    assert done.names(Kill) == [["child", "root"]]
    assert done.seconds < GRACE + FEW


HISTORIES: dict[str, Callable[[], Play]] = {
    "all leave": lambda: play(Actor("root", leaves=0.5), Actor("child", 1, leaves=0.25)),
    "the root is stubborn": lambda: play(Actor("root"), Actor("child", 1, leaves=0.25)),
    "all leave on the closed input": lambda: play(Actor("root", reads=0.0), holds_input=True),
    "one is left on the closed input": lambda: play(
        Actor("root", reads=0.25), Actor("child", 1, leaves=0.25), holds_input=True
    ),
    "scans are unsure": lambda: play(Actor("root", leaves=0.25), unsure=6),
    "the input is ignored": lambda: play(Actor("root", leaves=0.0), holds_input=True),
    "all are gone when they are asked": lambda: play(Actor("root", ends=0.0)),
    "mixed mode": lambda: play(
        Actor("root", leaves=0.25), Actor("child", 1, ends=0.5), terminate="root"
    ),
    "helpers": lambda: play(
        Actor("root", leaves=0.5),
        Actor("helper", 1, appears=0.25, ends=0.75),
        Actor("lasting helper", 1, appears=0.25),
    ),
    "forks while it is frozen": lambda: play(Actor("root"), Actor("late", 1, appears=Freeze)),
    "escapes the kill": lambda: play(Actor("root"), Actor("late", 1, appears=Kill)),
    "slow to die": lambda: play(Actor("root", dies=1.0), Actor("child", 1)),
    "denied": lambda: play(Actor("root"), Actor("denied", 1, denies=(Ask, Freeze, Kill))),
    "cannot die": lambda: play(Actor("root", dies=None), Actor("child", 1, leaves=0.5)),
    "spared": lambda: play(Actor("root"), Actor("spared", 1, spared="by the caller")),
}
MOMENTS = [
    pytest.param(tell, index, id=f"{name}, step {index}")
    for name, tell in HISTORIES.items()
    for index in range(len(tell().run().steps))
]


at_any_moment = pytest.mark.parametrize(("tell", "index"), MOMENTS)


@at_any_moment
def test_a_hurry_at_any_step_begins_the_force_at_once(tell: Callable[[], Play], index: int) -> None:
    done = tell().run(hurry_at=index)
    before, after = done.steps[: index + 1], done.steps[index + 1 :]
    assert not [step for _, step in after if isinstance(step, CloseInput | Ask)]
    if not [step for _, step in before if isinstance(step, Freeze | Kill)]:
        forced = [time for time, step in after if isinstance(step, Freeze | Kill)]
        assert forced[:1] < [before[-1][0] + 3 * TICK]


@at_any_moment
def test_after_a_hurry_at_any_step_every_member_has_one_outcome(
    tell: Callable[[], Play], index: int
) -> None:
    usual, done = tell().run(), tell().run(hurry_at=index)
    assert len(done.outcomes) == len(done.fates) == len(done.escalation.members)
    for name, fate in done.fates.items():
        if fate in (Fate.SURVIVED, Fate.DENIED, Fate.SPARED):
            assert usual.fates[name] is fate
    assert done.seconds < done.steps[index][0] + SETTLE + FEW


@at_any_moment
def test_after_a_hurry_at_any_step_a_scan_follows_the_last_death(
    tell: Callable[[], Play], index: int
) -> None:
    assert tell().run(hurry_at=index).is_scanned_last()


def test_a_hurry_ends_the_wait_for_the_closed_input() -> None:
    done = play(Actor("root"), holds_input=True).run(hurry_at=1)
    assert [kind for kind in done.kinds if kind is not Rescan][:3] == [CloseInput, Wait, Freeze]
    assert done.seconds < FEW


def test_asking_alone_waits_for_nothing_and_uses_no_force() -> None:
    done = play(Actor("root"), Actor("child", 1), holds_input=True).run(way="ask")
    assert done.names(Ask) == [["child", "root"]]
    assert not {CloseInput, Wait, Freeze, Kill} & {*done.kinds}
    assert done.seconds < FEW


def test_force_alone_asks_no_process_and_does_not_wait_for_the_dying() -> None:
    root = Actor("root", leaves=0.0, dies=1.0)
    done = play(root, Actor("child", 1), holds_input=True).run(way="force")
    assert done.names(Kill) == [["child", "root"]]
    assert not {CloseInput, Ask} & {*done.kinds}
    assert done.seconds < FEW


def test_force_alone_scans_again_for_processes_started_meanwhile() -> None:
    late = Actor("late", 1, appears=Kill)
    done = play(Actor("root"), late).run(way="force")
    assert [*itertools.chain(*done.names(Kill))] == ["root", "late"]
