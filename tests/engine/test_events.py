"""Pure: the events that a listener gets, and when."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pytest

from proctree_kill import KillEvent, KillPolicy
from proctree_kill._engine.events import EventSender, Listener
from proctree_kill._engine.plan import Escalation
from proctree_kill._engine.steps import Ask, Facts, Freeze, Kill, Rescan, Step, Wait
from proctree_kill._systems.member import ZOMBIE, Member

START = 100.0


def member(pid: int, *, spared: str | None = None) -> Member:
    new = Member(pid)
    new.boot_id, new.start, new.spared = "boot", pid * 10, spared
    return new


class SentEvents:
    """A sender, its escalation, and what it sent."""

    def __init__(self, *members: Member, listener: Listener | None = None) -> None:
        self.events: list[KillEvent] = []
        self.escalation = Escalation(KillPolicy(), members, START)
        self.raised: list[BaseException] = []
        listener = listener or self.events.append
        self.sender = EventSender(listener, self.escalation, self.raised.append)

    def after(
        self,
        step: Step,
        *,
        frozen: bool = False,
        gone: Iterable[Member] = (),
        appeared: Iterable[Member] = (),
    ) -> list[str]:
        """End a step; return the kinds of the events so far."""
        self.sender.after(step, Facts(START + 1, gone, (), appeared), frozen=frozen)
        return self.kinds

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    @property
    def pids(self) -> list[int | None]:
        return [None if event.identity is None else event.identity.pid for event in self.events]

    @property
    def remaining(self) -> list[int]:
        return [event.remaining for event in self.events]


def test_the_request_is_reported_with_how_many_are_to_leave() -> None:
    sent = SentEvents(member(7), member(8), member(9, spared="by the caller"))
    sent.after(Ask([], 0.0, "SIGTERM", []))
    assert sent.events == [KillEvent(kind="asked", seconds=1.0, remaining=2)]


def test_a_death_is_reported_with_its_identity() -> None:
    first, other = member(7), member(8)
    sent = SentEvents(first, other)
    sent.after(Wait([], 0), gone=[other])
    (event,) = sent.events
    assert event.identity
    assert (event.kind, event.remaining) == ("gone", 1)
    assert event.identity.model_dump() == {
        "pid": 8,
        "boot_id": "boot",
        "start": 80,
        "inode": None,
        "create_time": None,
    }


def test_a_reported_death_is_not_reported_again() -> None:
    known = member(7)
    sent = SentEvents(known)
    sent.after(Wait([], 0), gone=[known])
    del sent.escalation.living[known]
    assert sent.after(Wait([], 0), gone=[known]) == ["gone"]


def test_a_found_member_is_reported_and_counted() -> None:
    sent = SentEvents(member(7))
    sent.after(Rescan(), appeared=[member(8)])
    assert (sent.kinds, sent.pids, sent.remaining) == (["found"], [8], [2])


def test_a_member_found_spared_or_dead_is_reported_and_not_counted() -> None:
    dead, spared = member(8), member(9, spared="below 7")
    dead.state = ZOMBIE
    sent = SentEvents(member(7))
    sent.after(Rescan(), appeared=[dead, spared])
    assert (sent.kinds, sent.remaining) == (["found", "found"], [1, 1])


def test_the_force_is_announced_once_before_it_begins() -> None:
    sent = SentEvents(member(7))
    sent.sender.before(Ask([], 0.0, "SIGTERM", []))
    assert sent.kinds == []
    sent.sender.before(Freeze([]))
    assert sent.kinds == ["escalated"]
    for step in (Kill([]), Freeze([]), Kill([])):
        sent.sender.before(step)
    assert sent.kinds == ["escalated"]


def test_a_kill_without_a_freeze_is_announced_too() -> None:
    sent = SentEvents(member(7))
    sent.sender.before(Kill([]))
    assert sent.kinds == ["escalated"]


def test_while_a_member_is_frozen_nothing_is_reported() -> None:
    early, late = member(7), member(8)
    sent = SentEvents(early)
    assert sent.after(Freeze([]), frozen=True, gone=[early]) == []
    assert sent.after(Rescan(), frozen=True, appeared=[late]) == []
    assert sent.after(Kill([])) == ["gone", "found"]


def test_the_last_event_says_that_it_is_over() -> None:
    known = member(7)
    sent = SentEvents(known)
    sent.after(Freeze([]), frozen=True, gone=[known])
    sent.sender.settled(START + 3)
    assert sent.kinds == ["gone", "settled"]
    assert sent.events[-1] == KillEvent(kind="settled", seconds=3.0, remaining=0)


def test_a_listener_that_raises_is_logged_once_and_not_called_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[KillEvent] = []

    def broken(event: KillEvent) -> None:
        calls.append(event)
        raise LookupError

    sent = SentEvents(member(7), member(8), listener=broken)
    with caplog.at_level(logging.DEBUG, "proctree_kill"):
        sent.after(Rescan(), appeared=[member(9), member(10)])
        sent.after(Ask([], 0.0, "SIGTERM", []))
        sent.sender.before(Kill([]))
        sent.sender.settled(START)
    assert len(calls) == 1
    (record,) = caplog.records
    assert record.name == "proctree_kill"
    assert record.exc_info


def test_without_a_listener_nothing_is_kept() -> None:
    escalation = Escalation(KillPolicy(), [known := member(7)], START)
    sender = EventSender(None, escalation, lambda _: None)
    sender.before(Freeze([]))
    sender.after(Freeze([]), Facts(START, [known]), frozen=True)
    assert sender._queue == []
