"""Real: sessions with an idle timeout."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from proctree_kill import SessionManager, SessionState
from proctree_kill._containment.containment import Requested
from proctree_kill._sessions import start as starts
from proctree_kill._sessions.timers import Timer
from support.listener import Listener
from support.timeouts import TIMED_OUT
from support.times import BOUND

pytestmark = pytest.mark.needs("fork")

TIMEOUT = 0.2  # seconds
PERIODS = 3
PIPE = subprocess.PIPE
# It uses as many seconds of CPU as each line says, and answers.
WORKER = """
import sys, time
for line in sys.stdin:
    end = time.process_time() + float(line)
    while time.process_time() < end:
        pass
    print(flush=True)
"""


def call_at_each_ring(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[Timer, float], None]
) -> None:
    """Replace what the timers of new sessions do when they ring."""

    class Called(Timer):
        def ring(self, now: float) -> None:
            call(self, now)

    monkeypatch.setattr(starts, "Timer", Called)


@pytest.mark.parametrize("containment", ["auto", "session"])
def test_an_idle_session_is_stopped_with_its_whole_tree(
    manager: SessionManager, listener: Listener, containment: Requested
) -> None:
    agent = ["sh", "-c", "sleep 1000 & sleep 1000"]
    session = manager.spawn_agent(
        "a", agent, containment=containment, idle_timeout=TIMEOUT, stdout=PIPE
    )
    listener.wait("stopped")
    assert listener.names() == TIMED_OUT
    assert listener.events[1].reason == "idle_timeout"
    assert session.process.stdout
    with session.process.stdout as held:
        assert held.read() == b""  # its end: no process holds it
    assert session.result
    assert session.result.message.endswith("its idle_timeout of 0.2 s was over")


@pytest.mark.parametrize("containment", ["auto", "session"])
def test_a_session_that_works_in_silence_is_not_idle(
    manager: SessionManager,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    containment: Requested,
) -> None:
    started, enough = threading.Event(), threading.Event()
    rings = [time.monotonic()]

    def work_and_ring(timer: Timer, now: float) -> None:
        """Use 5 % of the time since the last ring: a period begins no earlier."""
        assert started.wait(BOUND)
        process = session.process
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{0.05 * (now - rings[-1]) + 0.05}\n")  # the clock may have ticks
        process.stdin.flush()
        process.stdout.readline()
        rings.append(now)
        Timer.ring(timer, now)
        if len(rings) > PERIODS:
            timer.due = math.inf
            enough.set()

    call_at_each_ring(monkeypatch, work_and_ring)
    session = manager.spawn_agent(
        "a",
        [sys.executable, "-I", "-S", "-c", WORKER],
        containment=containment,
        idle_timeout=TIMEOUT,
        stdin=PIPE,
        stdout=PIPE,
        text=True,
    )
    started.set()
    assert enough.wait(BOUND)
    assert session.state is SessionState.RUNNING
    assert listener.names() == ["started"]
    assert manager.stop_agent("a").success
    session.process.close_pipes()


def test_a_predicate_is_never_asked_by_the_thread_that_watches_all(
    manager: SessionManager, listener: Listener
) -> None:
    asked = set()

    def spare(_: object) -> bool:
        asked.add(threading.current_thread().name)
        return False

    manager.spawn_agent("a", ["sleep", "1000"], idle_timeout=TIMEOUT, spare=spare)
    assert listener.wait("timed_out").reason == "idle_timeout"
    listener.wait("stopped")
    assert asked == {"proctree_kill stop"}


def test_a_touch_keeps_a_session(
    manager: SessionManager, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    rings = []

    def touch_and_ring(timer: Timer, now: float) -> None:
        rings.append(manager.sessions["a"].state)
        if len(rings) <= PERIODS:
            manager.sessions["a"].touch()
        Timer.ring(timer, now)

    call_at_each_ring(monkeypatch, touch_and_ring)
    manager.spawn_agent("a", ["sleep", "1000"], idle_timeout=TIMEOUT)
    listener.wait("stopped")
    assert rings[: PERIODS + 1] == [SessionState.RUNNING] * (PERIODS + 1)
    assert listener.names() == TIMED_OUT
