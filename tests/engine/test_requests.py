"""Pure: how a tree is asked from the top down, played on a virtual clock."""

from __future__ import annotations

import math
from typing import Any

import pytest

from proctree_kill._engine.plan import INPUT_SHARE
from proctree_kill._engine.steps import (
    AbandonHook,
    Ask,
    CallHook,
    CloseInput,
    Continue,
    Freeze,
    ReadResponses,
)
from proctree_kill._models.result import Fate
from proctree_kill._systems.member import DIES, HANDLES, IGNORES, ROOT
from support.play import TICK, Actor, Play

FEW = 16 * TICK
GRACE = 2.0


def play(*actors: Actor, **options: Any) -> Play:
    return Play(*actors, **({"grace": GRACE, "settle": 5.0} | options))


def family(response: str | None, child_response: str | None = DIES, **root: Any) -> list[Actor]:
    """Return a root, with this response to the signal, and its child, which exits when asked."""
    parent = Actor("root", response=response, **root)
    return [parent, Actor("child", parent=parent, response=child_response, leaves=0.0)]


def when(done: Play, name: str) -> float:
    """Return when a member was asked, which happened once."""
    (time,) = done.times(Ask, name)
    return time


def test_the_child_of_a_parent_without_a_handler_is_asked_at_once_after_it() -> None:
    done = play(*family(DIES, leaves=0.0)).run()
    assert done.names(Ask) == [["root", "child"]]
    assert done.seconds < FEW


def test_the_child_of_a_handler_is_asked_when_the_parent_has_exited() -> None:
    done = play(*family(HANDLES, leaves=0.5)).run()
    assert done.names(Ask) == [["root"], ["child"]]
    assert 0.5 <= when(done, "child") < 0.5 + FEW


def test_a_child_that_its_parent_told_to_exit_is_not_asked() -> None:
    root = Actor("root", response=HANDLES, leaves=0.5)
    done = play(root, Actor("child", parent=root, response=HANDLES, ends=0.25)).run()
    assert done.names(Ask) == [["root"]]
    assert [outcome.detail for outcome in done.outcomes] == [
        "it left after a process above it was asked",
        None,
    ]
    assert done.fates == {"child": Fate.TERMINATED, "root": Fate.TERMINATED}


def test_where_both_handle_the_signal_the_child_waits_for_the_middle() -> None:
    done = play(*family(HANDLES, HANDLES, leaves=0.25)).run()
    assert GRACE / 2 <= when(done, "child") < GRACE / 2 + FEW


@pytest.mark.parametrize("response", [HANDLES, None])
def test_the_child_of_a_parent_that_stays_is_asked_in_the_middle(response: str | None) -> None:
    done = play(*family(response)).run()
    assert GRACE / 2 <= when(done, "child") < GRACE / 2 + FEW
    assert GRACE <= done.times(Freeze)[0] < GRACE + FEW


def test_where_responses_are_hidden_the_child_is_asked_when_its_parent_has_exited() -> None:
    done = play(*family(None, None, leaves=0.25)).run()
    assert 0.25 <= when(done, "child") < 0.25 + FEW


@pytest.mark.parametrize(
    "root", [{"response": IGNORES}, {"response": HANDLES, "denies": (Ask,)}], ids=["deaf", "denied"]
)
def test_a_parent_that_cannot_be_asked_counts_as_gone(root: dict[str, Any]) -> None:
    done = play(*family(**root)).run()
    assert when(done, "child") < FEW


def test_an_unreachable_parent_counts_as_gone() -> None:
    parent, child = family(HANDLES)
    parent.unreachable = True
    assert when(play(parent, child).run(), "child") < FEW


def test_where_no_request_reaches_a_member_the_force_begins_at_once() -> None:
    first, second = Actor("root"), Actor("root")
    first.unreachable = second.unreachable = True
    assert play(first).run().times(Freeze)[0] < FEW
    assert play(second, holds_input=True).run().times(Freeze)[0] >= GRACE


def test_a_chain_without_handlers_is_asked_in_one_step_from_the_top() -> None:
    chain = [Actor("0", response=DIES, leaves=0.0)]
    for number in range(1, 5):
        chain.append(Actor(str(number), parent=chain[-1], response=DIES, leaves=0.0))
    assert play(*chain).run().names(Ask) == [["0", "1", "2", "3", "4"]]


def test_a_handler_in_the_middle_of_a_chain_holds_back_what_is_below_it() -> None:
    root = Actor("root", response=DIES, leaves=0.0)
    master = Actor("master", parent=root, response=HANDLES, leaves=0.5)
    worker = Actor("worker", parent=master, response=HANDLES, ends=0.25)
    below = Actor("below", parent=worker, response=DIES, ends=0.25)
    done = play(root, master, worker, below).run()
    assert done.names(Ask) == [["root", "master"]]
    assert {*done.fates.values()} == {Fate.TERMINATED}


def test_each_root_is_asked_for_itself() -> None:
    parent, child = family(HANDLES)
    child.evidence |= ROOT
    assert [{*names} for names in play(parent, child).run().names(Ask)] == [{"root", "child"}]


@pytest.mark.parametrize("spared", ["by the caller", None])
def test_what_is_below_no_living_member_is_asked_at_once(spared: str | None) -> None:
    parent, child = family(HANDLES, spared=spared)
    actors = [parent, child] if spared else [child]  # the parent is spared, or excluded
    assert when(play(*actors).run(), "child") < FEW


def test_a_member_that_appears_after_the_first_request_is_never_asked() -> None:
    root = Actor("root", response=HANDLES, leaves=1.5)
    helper = Actor("helper", parent=root, appears=0.25, ends=1.75)
    dying = Actor("dying", parent=root, ends=0.25)  # its death makes the plan scan again
    done = play(root, dying, helper).run()
    assert done.times(Ask, "helper") == []
    assert done.fates["helper"] is Fate.TERMINATED


def test_stopped_members_that_must_wait_are_continued_with_the_first_request() -> None:
    parent, child = family(HANDLES, leaves=0.5)
    child.stopped = True
    done = play(parent, child).run()
    assert done.names(Continue) == [["child"]]
    assert done.times(Continue)[0] < FEW


def test_only_parents_and_the_children_of_handlers_are_looked_at() -> None:
    root = Actor("root", response=DIES, leaves=0.0)
    master = Actor("master", parent=root, response=HANDLES, leaves=0.0)
    workers = [Actor(f"worker {number}", parent=master, response=DIES) for number in range(2)]
    leaf = Actor("leaf", parent=root, response=DIES, leaves=0.0)
    done = play(root, master, *workers, leaf).run()
    assert [{*names} for names in done.names(ReadResponses)] == [
        {"root", "master"},
        {"worker 0", "worker 1"},
    ]


def test_a_tree_of_one_process_is_not_looked_at() -> None:
    done = play(Actor("root", leaves=0.0)).run()
    assert ReadResponses not in done.kinds


def test_the_middle_is_halfway_between_the_request_and_the_end_of_the_grace() -> None:
    done = play(*family(HANDLES), holds_input=True).run()
    share = GRACE * INPUT_SHARE
    assert done.kinds[0] is CloseInput
    assert share <= when(done, "root") < share + FEW
    middle = (share + GRACE) / 2
    assert middle <= when(done, "child") < middle + FEW


def test_a_short_grace_has_a_middle_too() -> None:
    done = play(*family(HANDLES), grace=0.25).run()
    assert 0.125 <= when(done, "child") < 0.125 + FEW
    assert 0.25 <= done.times(Freeze)[0] < 0.25 + FEW


def test_at_once_means_children_first_and_no_waiting() -> None:
    done = play(*family(HANDLES), terminate="tree").run()
    assert done.names(Ask) == [["child", "root"]]
    assert ReadResponses not in done.kinds


class TestTeardown:
    STEPS = ("SIGINT 1", "SIGTERM 2")

    def test_each_signal_has_its_time(self) -> None:
        done = play(Actor("root"), grace=None, teardown=self.STEPS).run()
        requests = [(time, step.signal) for time, step in done.steps if isinstance(step, Ask)]
        assert [signal for _, signal in requests] == ["SIGINT", "SIGTERM"]
        assert requests[0][0] < FEW
        assert 1 <= requests[1][0] < 1 + FEW
        assert 3 <= done.times(Freeze)[0] < 3 + FEW

    def test_what_exits_in_the_first_step_is_asked_no_more(self) -> None:
        done = play(Actor("root", leaves=0.5), grace=None, teardown=self.STEPS).run()
        assert len(done.times(Ask)) == 1
        assert 0.5 <= done.seconds < 0.5 + FEW

    def test_each_step_goes_from_the_top_down(self) -> None:
        done = play(*family(HANDLES), Actor("other"), grace=None, teardown=self.STEPS).run()
        assert [sorted(filter(None, names)) for names in done.names(Ask)] == [
            ["other", "root"],
            ["child"],
            ["other", "root"],
        ]

    def test_what_appears_after_the_first_request_is_not_asked_by_a_later_one(self) -> None:
        late = Actor("late", 1, appears=0.25, ends=2.0)
        dying = Actor("dying", 1, ends=0.25)
        done = play(Actor("root"), dying, late, grace=None, teardown=self.STEPS).run()
        assert done.times(Ask, "late") == []

    def test_a_hurry_ends_all_steps(self) -> None:
        done = play(Actor("root"), grace=None, teardown=self.STEPS).run(hurry_at=2)
        assert len(done.times(Ask)) == 1
        assert done.times(Freeze)[0] < 1


SHARE = GRACE * INPUT_SHARE
HANGS = math.inf


class TestHook:
    """The shutdown hook, and the closed input that shares its time."""

    def test_it_is_called_before_the_input_is_closed_and_before_any_signal(self) -> None:
        done = play(Actor("root"), hook=0.125, holds_input=True).run()
        assert done.kinds[0] is CallHook
        assert 0.125 <= done.times(CloseInput)[0] < 0.125 + FEW
        assert SHARE <= when(done, "root") < SHARE + FEW

    def test_one_that_hangs_is_abandoned_at_the_end_of_the_share(self) -> None:
        done = play(Actor("root"), hook=HANGS, holds_input=True).run()
        for kind in (AbandonHook, CloseInput, Ask):
            assert SHARE <= done.times(kind)[0] < SHARE + FEW
        assert GRACE <= done.times(Freeze)[0] < GRACE + FEW

    def test_one_that_has_ended_is_not_abandoned(self) -> None:
        done = play(Actor("root"), hook=0.125).run()
        assert AbandonHook not in done.kinds
        assert CloseInput not in done.kinds
        assert SHARE <= when(done, "root") < SHARE + FEW

    def test_one_that_raises_leaves_the_rest_of_the_share_to_the_input(self) -> None:
        root = Actor("root", reads=0.125)
        done = play(root, hook=0.125, hook_raises=True, holds_input=True).run()
        assert 0.25 <= done.seconds < 0.25 + FEW
        assert Ask not in done.kinds

    def test_exits_while_it_runs_end_the_share_at_once(self) -> None:
        done = play(*family(HANDLES, obeys=0.25), hook=HANGS, holds_input=True).run()
        assert CloseInput not in done.kinds
        assert AbandonHook not in done.kinds
        assert 0.25 <= when(done, "child") < 0.25 + FEW

    def test_exits_after_it_end_the_share_at_once(self) -> None:
        done = play(Actor("root", obeys=0.25), hook=0.0).run()
        assert 0.25 <= done.seconds < 0.25 + FEW
        assert done.outcomes[0].detail == "it left after the shutdown hook was called"
        assert done.fates == {"root": Fate.TERMINATED}

    def test_without_a_root_it_has_its_time_for_the_children(self) -> None:
        done = play(Actor("child", 1, obeys=0.25), hook=0.0).run()
        assert Ask not in done.kinds

    def test_a_hurry_ends_its_share(self) -> None:
        done = play(Actor("root"), hook=HANGS, holds_input=True).run(hurry_at=1)
        assert AbandonHook in done.kinds
        assert CloseInput not in done.kinds
        assert Ask not in done.kinds
        assert done.times(Freeze)[0] < FEW

    def test_where_a_hurry_came_before_it_is_not_abandoned(self) -> None:
        done = play(Actor("root"), hook=HANGS).run(hurry_at=0)
        assert AbandonHook not in done.kinds
        assert done.times(Freeze)[0] < FEW

    @pytest.mark.parametrize("actors", [[Actor("root")], []], ids=["no grace", "no process"])
    def test_it_is_not_called(self, actors: list[Actor]) -> None:
        assert CallHook not in play(*actors, hook=0.0, grace=0.0 if actors else 1.0).run().kinds

    def test_a_short_grace_keeps_its_end(self) -> None:
        done = play(Actor("root"), hook=HANGS, holds_input=True, grace=0.25).run()
        assert 0.0625 <= when(done, "root") < 0.0625 + FEW
        assert 0.25 <= done.times(Freeze)[0] < 0.25 + FEW

    def test_in_a_teardown_it_shares_the_time_of_the_first_request(self) -> None:
        steps = TestTeardown.STEPS
        done = play(Actor("root"), hook=HANGS, grace=None, teardown=steps).run()
        asked = done.times(Ask)
        assert 0.25 <= asked[0] < 0.25 + FEW
        assert 1 <= asked[1] < 1 + FEW
        assert done.kinds.count(CallHook) == 1

    @pytest.mark.parametrize(
        ("hook", "forced"),
        [
            ({"hook": 0.0}, GRACE),
            ({"hook": 0.0, "hook_raises": True}, SHARE),
            ({"hook": HANGS}, SHARE),
        ],
        ids=["it returned", "it raised", "it hangs"],
    )
    def test_where_no_request_reaches_a_member_only_a_hook_that_returned_has_the_grace(
        self, hook: dict[str, Any], forced: float
    ) -> None:
        root = Actor("root")
        root.unreachable = True
        done = play(root, **hook).run()
        assert forced <= done.times(Freeze)[0] < forced + FEW
