"""Pure: when a tree counts as idle, on a virtual clock."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from proctree_kill._spawn.idle import CpuReading, IdleClock, check_seconds

TIMEOUT = 100.0
LIMIT = 2.0  # seconds of CPU in that time: 2 %


class World:
    """A clock, a tree that uses CPU, and how often that was read."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.now = 1000.0
        self.used: dict[Hashable, float] | None = {"cell": 0.0}
        self.reads = self.samples = 0
        self.clock = IdleClock(TIMEOUT, self.read, self.now, self.sample if sampled else None)

    def read(self) -> CpuReading:
        self.reads += 1
        return CpuReading(self.now, None if self.used is None else dict(self.used))

    def sample(self, reading: CpuReading) -> CpuReading:
        self.samples += 1
        return CpuReading(self.now, {**(reading.used or {}), **(self.used or {})})

    def work(self, seconds: float, key: Hashable = "cell") -> None:
        assert self.used is not None
        self.used[key] = self.used.get(key, 0.0) + seconds

    def note(self) -> None:
        self.clock.note_activity(self.now)

    def is_idle_after(self, seconds: float) -> bool:
        self.now += seconds
        return self.clock.look(self.now)


def test_a_silent_tree_is_idle_at_the_end_of_the_time_and_not_before() -> None:
    world = World()
    assert world.clock.due == world.now + TIMEOUT
    assert not world.is_idle_after(TIMEOUT - 1)
    assert world.reads == 0
    assert world.is_idle_after(1)
    assert world.reads == 1


def test_a_byte_begins_a_new_period() -> None:
    world = World()
    assert not world.is_idle_after(TIMEOUT - 1)
    world.note()
    assert world.clock.due == world.now + TIMEOUT
    assert not world.is_idle_after(TIMEOUT - 1)
    assert world.is_idle_after(1)


def test_a_silent_tree_that_works_is_busy_until_it_stops() -> None:
    world = World()
    for _ in range(3):
        world.work(LIMIT)
        assert not world.is_idle_after(TIMEOUT)
        assert world.clock.due == world.now + TIMEOUT
    world.work(LIMIT * 0.99)
    assert world.is_idle_after(TIMEOUT)
    assert world.samples == 4
    assert world.reads == 1  # the others showed enough


def test_a_server_with_a_timer_is_idle() -> None:
    world = World()
    world.work(0.005 * TIMEOUT)
    assert world.is_idle_after(TIMEOUT)


def test_work_before_the_last_byte_does_not_count() -> None:
    world = World()
    world.work(50)
    world.now += 50
    world.note()
    assert world.is_idle_after(TIMEOUT)


def test_work_before_the_last_byte_counts_where_no_sample_is_cheap() -> None:
    world = World(sampled=False)
    world.work(50)
    world.now += 50
    world.note()
    assert not world.is_idle_after(TIMEOUT)
    assert world.is_idle_after(TIMEOUT)


def test_work_after_the_last_byte_counts_however_long_the_tree_was_quiet_before() -> None:
    world = World(sampled=False)
    for _ in range(1000):
        world.now += TIMEOUT - 1
        world.note()
    world.work(LIMIT)
    assert not world.is_idle_after(TIMEOUT)
    assert world.reads == 1


def test_at_most_so_many_samples_are_made_of_many_bytes() -> None:
    world = World()
    for _ in range(10_000):
        world.now += TIMEOUT / 10_000
        world.note()
    assert world.samples <= 20


def test_a_byte_soon_after_a_sample_is_judged_by_that_sample() -> None:
    world = World()
    world.now += 6
    world.note()
    world.now += 4
    world.work(LIMIT)  # before the last byte: never later, perhaps earlier
    world.note()
    assert world.samples == 1
    assert not world.is_idle_after(TIMEOUT)


def test_a_tree_whose_cpu_is_unknown_is_busy() -> None:
    world = World()
    world.used = None
    assert not world.is_idle_after(TIMEOUT)
    world.used = {"cell": 5.0}
    assert not world.is_idle_after(TIMEOUT)  # it was unknown at the beginning of this period
    assert world.is_idle_after(TIMEOUT)


def test_a_byte_that_comes_during_the_look_counts() -> None:
    world = World()
    clock: IdleClock

    def read() -> CpuReading:
        clock.note_activity(world.now + 1)
        return CpuReading(world.now, {})

    clock = IdleClock(TIMEOUT, read, world.now)
    world.now += TIMEOUT
    assert not clock.look(world.now)
    assert clock.due == world.now + 1 + TIMEOUT


def test_a_slow_look_begins_the_next_period_at_its_end() -> None:
    world = World()

    def read() -> CpuReading:
        world.now += 7
        return world.read()

    clock = IdleClock(TIMEOUT, read, world.now)
    world.work(LIMIT)
    world.now += TIMEOUT
    assert not clock.look(world.now)
    assert clock.due == world.now + TIMEOUT


def test_a_look_after_a_sleep_of_the_machine_proves_nothing() -> None:
    world = World()
    assert not world.is_idle_after(TIMEOUT * 1.05)
    assert world.is_idle_after(TIMEOUT * 1.04)


def test_activity_does_not_go_back() -> None:
    world = World()
    world.now += 50
    world.note()
    world.clock.note_activity(world.now - 20)
    assert world.clock.due == world.now + TIMEOUT


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1.0}, {"a": 3.0}, 2.0),
        ({"a": 1.0}, {"a": 1.0, "new": 4.0}, 4.0),
        ({"a": 9.0, "b": 1.0}, {"b": 1.5}, 0.5),  # a is gone
        ({"a": 9.0, "b": 1.0}, {"a": 8.0, "b": 2.0}, 1.0),  # never negative
        ({"a": 1.0}, None, None),
        (None, {"a": 1.0}, None),
    ],
)
def test_use_between_two_readings(
    before: dict[Hashable, float] | None,
    after: dict[Hashable, float] | None,
    expected: float | None,
) -> None:
    assert CpuReading(1.0, after).since(CpuReading(0.0, before)) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1.0}, {"a": 1.5}, 0.5),
        ({"a": 1.0, "b": 9.0}, {"a": 1.5}, None),
        ({"a": 1.0}, {"a": 1.5, "new": 0.0}, None),
        ({}, {"a": 0.0}, None),
    ],
)
def test_where_the_ended_do_not_tell_the_same_processes_must_live(
    before: dict[Hashable, float], after: dict[Hashable, float], expected: float | None
) -> None:
    earlier = CpuReading(0.0, before, exact=False)
    assert CpuReading(1.0, after, exact=False).since(earlier) == expected


@pytest.mark.parametrize("seconds", [None, 1, 0.5])
def test_a_timeout_that_can_be(seconds: object) -> None:
    check_seconds("idle_timeout", seconds)  # type: ignore[arg-type] # that is the question


@pytest.mark.parametrize(
    ("seconds", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        pytest.param(10**309, ValueError, id="more than a float"),
        ("10m", TypeError),
        (True, TypeError),
    ],
)
def test_a_timeout_that_cannot_be(seconds: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"idle_timeout is {seconds!r}, expected seconds, more than 0"):
        check_seconds("idle_timeout", seconds)  # type: ignore[arg-type] # that is the question
