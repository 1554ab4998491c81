"""Pure: what is said while a grace passes."""

from __future__ import annotations

import threading

import pytest

from proctree_kill import KillEvent
from proctree_kill._cli.countdown import Countdown


class Clock:
    """A clock that stands."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def countdown(clock: Clock) -> Countdown:
    return Countdown(2.0, clock)


def event(kind: str, remaining: int, seconds: float = 0.0) -> KillEvent:
    return KillEvent.model_validate({"kind": kind, "seconds": seconds, "remaining": remaining})


def in_a_thread(countdown: Countdown, *events: KillEvent) -> None:
    """Note events as another tree does, which is ended at the same time.

    Its thread lives as long as ours could, so that no number of a thread is used twice.
    """
    thread = threading.Thread(target=lambda: [countdown.note(event) for event in events])
    thread.start()
    thread.join()


def test_the_line_says_how_many_are_left_and_when_force_follows(
    countdown: Countdown, clock: Clock
) -> None:
    assert countdown.texts() == []
    countdown.note(event("asked", 6, 0.5))
    countdown.note(event("gone", 5, 0.5))
    clock.now += 0.25
    assert countdown.texts() == [
        "asked 6, 5 left · force in 1.2 s · Ctrl-C forces now",
        "5 left · force in 1.2 s · Ctrl-C forces now",
        "5 left · 1.2 s · Ctrl-C forces now",
        "5 left · 1.2 s",
    ]
    clock.now += 9
    assert "force in 0.0 s" in countdown.texts()[0]
    countdown.note(event("escalated", 5, 2.0))
    assert countdown.texts() == ["forced, 5 left"]
    countdown.note(event("settled", 0, 2.5))
    assert countdown.texts() == []


def test_a_grace_has_a_line_at_its_begin_and_at_its_end(countdown: Countdown) -> None:
    events = [event("asked", 2), event("asked", 1), event("gone", 1), event("escalated", 1, 2.0)]
    said = [countdown.note(each) for each in [*events, event("settled", 0, 2.5)]]
    assert said == ["asked to exit; force in 2 s", None, None, "force, 1 left after 2.00 s", None]


def test_a_grace_in_which_all_exit_is_over_with_the_last(countdown: Countdown) -> None:
    said = [countdown.note(each) for each in (event("asked", 1), event("settled", 0, 0.5))]
    assert said == ["asked to exit; force in 2 s", "all exited after 0.50 s"]


def test_force_without_a_grace_says_nothing(countdown: Countdown) -> None:
    assert [countdown.note(event(kind, 0)) for kind in ("escalated", "settled")] == [None, None]


def test_trees_that_are_ended_at_the_same_time_are_added(countdown: Countdown) -> None:
    assert countdown.note(event("asked", 3)) is not None
    in_a_thread(countdown, event("asked", 4), event("gone", 3))
    assert countdown.texts()[0].startswith("asked 7, 6 left")
    assert countdown.note(event("settled", 0)) is None
    assert countdown.texts()[0].startswith("asked 4, 3 left")


def test_about_a_pause_nothing_is_shown(clock: Clock) -> None:
    countdown = Countdown(2.0, clock, pauses=[1.0])
    countdown.note(event("asked", 1))
    shown = []
    for _ in range(8):
        clock.now += 0.25
        shown.append(bool(countdown.texts()))
    assert shown == [True, True, True, False, True, True, True, True]


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], "interrupted; nothing was touched"),
        ([event("asked", 3), event("settled", 0)], "interrupted; forced, no process is left"),
        ([event("asked", 3), event("settled", 2)], "interrupted; forced, 2 still alive"),
    ],
    ids=["before", "all dead", "survivors"],
)
def test_an_interrupt_says_what_is_left(
    countdown: Countdown, events: list[KillEvent], said: str
) -> None:
    for each in events:
        countdown.note(each)
    assert countdown.interrupted() == said
