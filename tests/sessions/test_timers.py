"""Seam: the timers of sessions on a virtual clock."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from proctree_kill import ProcessIdentity
from proctree_kill._sessions.exits import RECHECK, ExitWatcher
from proctree_kill._sessions.models import TimeoutReason
from proctree_kill._sessions.timers import Timer
from support.fake_system import FakeSystem

DEATH = 3 * RECHECK  # seconds from the start; then nothing is watched any more


class Agents:
    """Agents without processes, and what happened to each, and when."""

    def __init__(self) -> None:
        self.system = FakeSystem()
        self.start = self.system.now()
        self.happened: list[tuple[float, str, str]] = []
        self._watcher = ExitWatcher()
        self._watcher._system = self.system  # so that no thread is started

    def add(self, name: str, lifetime: float = math.inf, death: float = DEATH) -> None:
        process = self.system.spawn(name)
        self.system.at(death, lambda: self.system.die(process))
        identity = ProcessIdentity(pid=process.pid, boot_id="boot", start=process.start)
        timer = Timer(self.start + lifetime, None, self._note(name))
        self._watcher.watch(identity, lambda: self._note(name)("exited"), timer)

    def run(self) -> None:
        self._watcher._run()
        assert self.system.closed

    def _note(self, name: str) -> Callable[[TimeoutReason | str], None]:
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
