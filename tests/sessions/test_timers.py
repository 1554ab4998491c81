"""Seam: the timers of sessions on a virtual clock."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import pytest

from proctree_kill import ProcessIdentity
from proctree_kill._sessions.exits import ExitWatcher
from proctree_kill._sessions.timers import AGAIN, Timer
from proctree_kill._spawn.idle import CpuReading, IdleClock
from support.counts import TIMERS
from support.fake_system import FakeSystem

DEATH = 300  # seconds from the start; then nothing is watched any more
IDLE = 10  # seconds


class Agents:
    """Agents without processes, and what happened to each, and when.

    Attributes:
        cpu: the seconds that each has used.
        looks: how often that was read.
    """

    def __init__(self) -> None:
        self.system = FakeSystem()
        self.start = self.system.now()
        self.happened: list[tuple[float, str, str]] = []
        self.cpu: dict[str, float] = {}
        self.looks = 0
        self._watcher = ExitWatcher()
        self._watcher._system = self.system  # so that no thread is started

    def add(
        self, name: str, lifetime: float = math.inf, *, idle: bool = False, death: float = DEATH
    ) -> IdleClock:
        """Have an agent be watched from the start."""
        process = self.system.spawn(name)
        self.system.at(death, lambda: self.system.die(process))
        identity = ProcessIdentity(pid=process.pid, boot_id="boot", start=process.start)
        self.cpu[name] = 0.0
        clock = IdleClock(IDLE, lambda: self.read(name), self.start, lambda _: self.read(name))
        timer = Timer(self.start + lifetime, clock if idle else None, self._note(name))
        self._watcher.watch(identity, lambda: self._note(name)("exited"), timer)
        return clock

    def read(self, name: str) -> CpuReading:
        self.looks += 1
        return CpuReading(self.system.now(), {name: self.cpu[name]})

    def work(self, name: str, seconds: float) -> None:
        self.cpu[name] += seconds

    def run(self) -> None:
        """Watch until all have exited."""
        self._watcher._run()
        assert self.system.closed

    def _note(self, name: str) -> Callable[[str], None]:
        return lambda what: self.happened.append((self.system.now() - self.start, name, what))


@pytest.fixture
def agents() -> Agents:
    return Agents()


def test_a_lifetime_ends_once_and_not_before_its_time(agents: Agents) -> None:
    agents.add("a", 100)
    agents.run()
    assert agents.happened == [(100, "a", "max_lifetime"), (DEATH, "a", "exited")]


def test_each_timer_has_its_own_time(agents: Agents) -> None:
    for name, lifetime in [("late", 20), ("early", 10), ("never", math.inf), ("same", 10)]:
        agents.add(name, lifetime)
    agents.run()
    assert agents.happened[:3] == [
        (10, "early", "max_lifetime"),
        (10, "same", "max_lifetime"),
        (20, "late", "max_lifetime"),
    ]


def test_the_timer_of_an_agent_that_has_exited_is_over(agents: Agents) -> None:
    agents.add("before", 10, death=9)
    agents.add("at the same moment", 10, death=10)
    agents.run()
    assert agents.happened == [(9, "before", "exited"), (10, "at the same moment", "exited")]


def test_an_idle_agent_times_out_once_and_not_before_its_time(agents: Agents) -> None:
    agents.add("a", 2 * IDLE, idle=True)
    agents.run()
    assert agents.happened == [(IDLE, "a", "idle_timeout"), (DEATH, "a", "exited")]


def test_a_busy_agent_has_the_whole_of_its_lifetime(agents: Agents) -> None:
    agents.add("a", 3.5 * IDLE, idle=True)
    for second in range(DEATH):
        agents.system.at(second, lambda: agents.work("a", 0.9))
    agents.run()
    assert agents.happened[0] == (3.5 * IDLE, "a", "max_lifetime")
    assert agents.looks <= 2 * 3


def test_the_lifetime_counts_where_both_are_over(agents: Agents) -> None:
    agents.add("a", IDLE, idle=True)
    agents.run()
    assert agents.happened[0] == (IDLE, "a", "max_lifetime")


def test_a_touch_moves_the_idle_timeout_and_wakes_no_thread(agents: Agents) -> None:
    clock = agents.add("a", idle=True)
    for second in range(1, 8 * IDLE):
        agents.system.at(second / 8, lambda: clock.note_activity(agents.system.now()))
    agents.run()
    assert agents.happened[0] == ((8 * IDLE - 1) / 8 + IDLE, "a", "idle_timeout")
    waits = [act.time - agents.start for act in agents.system.acts("wait")]
    assert waits[:4] == [0, 0, IDLE, (8 * IDLE - 1) / 8 + IDLE]  # its start wakes the first


def test_a_timer_that_fails_is_logged_and_looks_again(
    agents: Agents, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = agents.read

    def fail(name: str) -> CpuReading:
        monkeypatch.setattr(agents, "read", read)
        text = f"no descriptor is left for {name}"
        raise OSError(text)

    agents.add("a", idle=True)
    agents.add("b", IDLE + 1)
    monkeypatch.setattr(agents, "read", fail)
    with caplog.at_level(logging.ERROR):
        agents.run()
    assert "the exit or the timeout of a session could not be handled" in caplog.text
    assert agents.happened[:2] == [
        (IDLE + 1, "b", "max_lifetime"),
        (IDLE + AGAIN + IDLE, "a", "idle_timeout"),  # the next look was too late to prove it
    ]


def test_many_timers_cost_a_wait_for_each_moment_and_a_look_for_each_period(
    agents: Agents,
) -> None:
    for number in range(TIMERS):
        agents.add(str(number), 3 + number % 7, idle=number % 2 == 0)
    agents.run()
    timeouts = [what for _, _, what in agents.happened if what != "exited"]
    assert timeouts == ["max_lifetime"] * TIMERS
    waits = [act for act in agents.system.acts("wait") if act.time < agents.start + IDLE]
    assert len(waits) == 2 + 7  # their start wakes the first
    assert agents.looks == 0
