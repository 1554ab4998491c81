"""Sessions whose time is over when a test says so."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from proctree_kill import SessionManager, StopResult
from proctree_kill._sessions import start as starts
from proctree_kill._sessions.timers import Timer

from .listener import Listener
from .threads import in_thread
from .times import BOUND, LONG

STOPPED = ["started", "stopping", "stopped"]
TIMED_OUT = ["started", "timed_out", "stopping", "stopped"]
EXITED = ["started", "exited"]


class Timers:
    """The timers of the sessions that are started from now on, the oldest first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.all: list[Timer] = []

        def note(*args: Any) -> Timer:
            self.all.append(Timer(*args))
            return self.all[-1]

        monkeypatch.setattr(starts, "Timer", note)

    def expire(self, manager: SessionManager, index: int = -1) -> None:
        """Have the lifetime of a session be over now."""
        timer = self.all[index]
        timer._end = timer.due = time.monotonic()
        watcher = manager._registry.watcher
        with watcher._changing:
            if watcher._system is not None:  # a session is left
                watcher._system.wake()


def race(manager: SessionManager, listener: Listener, timers: Timers, number: int) -> None:
    """Stop a session, end its root and have its time be over, at once; check that all agrees."""
    chance = random.Random(number)  # noqa: S311 - it decides what happens, no key
    name = str(number)
    session = manager.spawn_agent(name, ["sleep", "1000"], max_lifetime=LONG)
    acts: list[Callable[[], StopResult | None]] = [
        lambda: manager.stop_agent(name),
        lambda: session.process.send_signal(signal.SIGKILL),
        lambda: timers.expire(manager),
    ]
    chosen = chance.sample(acts, chance.choice([2, 3]))
    barrier = threading.Barrier(len(chosen))

    def begin(act: Callable[[], StopResult | None]) -> Callable[[], StopResult | None]:
        def wait_and_act() -> StopResult | None:
            barrier.wait(BOUND)
            return act()

        return in_thread(wait_and_act)

    results = [result() for result in [begin(act) for act in chosen]]
    last = listener.wait(("stopped", "exited"), name)
    names = listener.names(name)
    assert names in (STOPPED, TIMED_OUT, EXITED)
    assert session.state == last.state
    assert dict(manager.sessions) == {}
    assert session.result
    assert session.result.success
    assert (session.result.method == "timed_out") == ("timed_out" in names)
    for result in filter(None, results):
        assert result == session.result or result.method == "nothing_to_stop"
