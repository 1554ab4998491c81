"""Real: sessions that are stopped because their time is over."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path

import pytest

from proctree_kill import (
    Fate,
    Session,
    SessionEvent,
    SessionManager,
    SessionState,
    TreePopen,
    errors,
)
from proctree_kill._running.threads import blocked_signals
from proctree_kill._sessions.session import ManagedSession
from support.agents import FOREVER, HASTY, PATIENT, POLITE, STUBBORN, files, killed_after, start
from support.counts import RACES
from support.failures import fail_once, refuse_threads, survivor
from support.listener import Listener
from support.planter import Planter
from support.threads import in_thread, running_threads, wait_for_new_threads
from support.timeouts import STOPPED, TIMED_OUT, Timers, race
from support.times import BOUND, LONG

pytestmark = pytest.mark.needs("fork")


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    return Timers(monkeypatch)


def test_a_session_ends_with_its_lifetime(
    manager: SessionManager, tmp_path: Path, listener: Listener
) -> None:
    busy = ["sh", "-c", "while :; do :; done"]
    session = manager.spawn_agent("a", busy, tool="claude", max_lifetime=0.2, idle_timeout=LONG)
    stopped = listener.wait("stopped")
    assert listener.names() == TIMED_OUT
    timed_out = listener.events[1]
    assert (timed_out.event, timed_out.reason) == ("claude.session.timed_out", "max_lifetime")
    assert (timed_out.state, timed_out.pid) == ("stopping", session.pid)
    assert (stopped.method, stopped.reason) == ("timed_out", None)
    assert session.state is SessionState.STOPPED
    assert session.result
    assert (session.result.success, session.result.method) == (True, "timed_out")
    assert "it exited when it was asked" in session.result.message
    assert session.result.message.endswith("its max_lifetime of 0.2 s was over")
    assert session.exit_code == -15
    assert dict(manager.sessions) == {}
    assert files(tmp_path) == set()
    assert manager.stop_agent("a").method == "nothing_to_stop"


def test_the_whole_tree_ends_politely(
    manager: SessionManager, plant: Planter, listener: Listener, timers: Timers
) -> None:
    session, tree = start(manager, plant, "a", POLITE, max_lifetime=LONG)
    timers.expire(manager)
    listener.wait("stopped")
    assert tree.all_dead()
    assert session.result
    assert session.result.kill
    assert {outcome.fate for outcome in session.result.kill.outcomes} == {Fate.TERMINATED}


def test_force_comes_after_the_grace(
    plant: Planter, tmp_path: Path, listener: Listener, timers: Timers
) -> None:
    manager = SessionManager(tmp_path, policy=HASTY, event_broadcaster=listener)
    session, tree = start(manager, plant, "a", STUBBORN, max_lifetime=LONG)
    timers.expire(manager)
    assert listener.wait("stopped").method == "timed_out"
    assert tree.all_dead()
    assert session.result
    assert session.result.kill
    assert session.result.kill.forced


def test_the_hook_is_called_and_what_it_starts_can_be_signalled(
    tmp_path: Path, listener: Listener, timers: Timers
) -> None:
    manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=listener)
    called = []

    def shut_down(session: Session[TreePopen[bytes]]) -> None:
        called.append((session.session_id, session.state, blocked_signals()))
        session.process.send_signal(signal.SIGTERM)

    manager.spawn_agent("a", ["sleep", "1000"], max_lifetime=LONG, shutdown=shut_down)
    timers.expire(manager)
    listener.wait("stopped")
    assert called == [("a", "stopping", blocked_signals())]


def test_a_hook_that_is_awaited_runs_on_its_loop(tmp_path: Path) -> None:
    called = []

    async def shut_down(session: Session[TreePopen[bytes]]) -> None:
        called.append(threading.get_ident())
        session.process.send_signal(signal.SIGTERM)

    async def main() -> Session:
        over = asyncio.Event()

        async def tell(event: SessionEvent) -> None:
            if event.method == "timed_out":
                over.set()

        async with SessionManager(tmp_path, policy=FOREVER, event_broadcaster=tell) as manager:
            session = await manager.aspawn_agent(
                "a", ["sleep", "1000"], max_lifetime=0.2, shutdown=shut_down
            )
            async with asyncio.timeout(BOUND):
                await over.wait()
        return session

    session = asyncio.run(main())
    assert called == [threading.get_ident()]
    assert session.state is SessionState.STOPPED


def test_a_stop_of_a_session_that_times_out_forces_and_has_the_same_result(
    plant: Planter, tmp_path: Path, listener: Listener, timers: Timers
) -> None:
    manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=listener)
    session, tree = start(manager, plant, "a", STUBBORN, max_lifetime=LONG)
    timers.expire(manager)
    listener.wait("stopping")
    result = manager.stop_agent("a")
    assert (result.success, result.method) == (True, "timed_out")
    assert result == session.result
    assert tree.all_dead()
    listener.wait("stopped")
    assert listener.names() == TIMED_OUT


def test_a_session_does_not_time_out_while_it_is_stopped(
    plant: Planter, tmp_path: Path, listener: Listener, timers: Timers
) -> None:
    manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=listener)
    _, tree = start(manager, plant, "a", STUBBORN, max_lifetime=LONG)
    stopping = in_thread(lambda: manager.stop_agent("a"))
    listener.wait("stopping")
    timers.all[0].ring(LONG + timers.all[0].due)
    assert manager.stop_agent("a").method == "killed"
    assert stopping().method == "killed"
    assert tree.all_dead()
    listener.wait("stopped")
    assert listener.names() == STOPPED
    assert timers.all[0].due == float("inf")


def test_a_hung_session_delays_no_other_timer(
    plant: Planter, tmp_path: Path, listener: Listener, timers: Timers
) -> None:
    manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=listener)
    hung, tree = start(manager, plant, "a", STUBBORN, max_lifetime=LONG)
    _, other = start(manager, plant, "b", POLITE, max_lifetime=LONG)
    timers.expire(manager, 0)
    listener.wait("stopping")
    timers.expire(manager, 1)
    listener.wait("stopped", "b")
    assert other.all_dead()
    assert hung.state is SessionState.STOPPING
    assert manager.stop_agent("a").success
    assert tree.all_dead()


def test_a_survivor_is_a_failure_and_its_stop_can_be_tried_again(
    manager: SessionManager,
    listener: Listener,
    timers: Timers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    session = manager.spawn_agent("a", ["sleep", "1000"], max_lifetime=LONG)
    fail_once(monkeypatch, survivor)
    timers.expire(manager)
    failed = listener.wait("stop_failed")
    assert (failed.method, failed.state) == ("timed_out", "failed")
    assert session.result
    assert (session.result.success, session.result.error) == (False, failed.error)
    assert "a process is still alive" in session.result.message
    assert session.result.message in caplog.messages
    assert {*manager.sessions} == {"a"}
    result = manager.stop_agent("a")
    assert (result.success, result.method) == (True, "terminated")
    listener.wait("stopped")
    failure = ["started", "timed_out", "stopping", "stop_failed"]
    assert listener.names() == [*failure, "stopping", "stopped"]


def test_a_failed_stop_is_tried_again_when_the_time_is_over(
    manager: SessionManager,
    plant: Planter,
    listener: Listener,
    timers: Timers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, tree = start(manager, plant, "a", POLITE, max_lifetime=LONG)
    fail_once(monkeypatch, survivor)
    assert not manager.stop_agent("a").success
    timers.expire(manager)
    assert listener.wait("stopped").method == "timed_out"
    assert tree.all_dead()


def test_without_a_thread_to_be_had_the_watcher_stops_it(
    manager: SessionManager,
    plant: Planter,
    listener: Listener,
    timers: Timers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, tree = start(manager, plant, "a", POLITE, max_lifetime=LONG)
    refuse_threads(monkeypatch)
    timers.expire(manager)
    listener.wait("stopped")
    assert tree.all_dead()


def test_timers_end_with_the_block_of_the_manager(
    plant: Planter, tmp_path: Path, listener: Listener
) -> None:
    threads = running_threads()
    with SessionManager(tmp_path, event_broadcaster=listener) as manager:
        start(manager, plant, "a", POLITE, max_lifetime=LONG, idle_timeout=LONG)
    listener.wait("stopped")
    assert listener.names() == STOPPED
    wait_for_new_threads(threads)


def test_each_manager_has_its_own_timers(
    plant: Planter, tmp_path: Path, listener: Listener, timers: Timers
) -> None:
    """A session is ended by its owner's timer, however many managers know it."""
    other = SessionManager(tmp_path)
    with SessionManager(tmp_path, policy=PATIENT, event_broadcaster=listener) as manager:
        _, mine = start(manager, plant, "a", POLITE, max_lifetime=LONG)
        kept, its = start(other, plant, "b", POLITE, max_lifetime=LONG)
        timers.expire(manager, 0)
        listener.wait("stopped")
        assert mine.all_dead()
        assert other.stop_agent("a").method == "not_found"
        assert manager.stop_agent("b").method == "recovered_record"
        assert its.all_dead()
    assert kept.result is None or kept.result.method != "timed_out"
    assert kept.process
    assert kept.process.wait() == -15


def test_a_fork_cannot_touch_the_sessions_of_its_parent(
    manager: SessionManager, plant: Planter
) -> None:
    session, _ = start(manager, plant, "a", POLITE, idle_timeout=LONG)
    session.touch()

    def touch() -> None:
        with pytest.raises(errors.SessionError, match="of which this is a fork"):
            session.touch()

    assert killed_after(touch) == -signal.SIGKILL


def test_what_another_process_started_is_not_timed() -> None:
    session: Session = Session(ManagedSession("a", "mcp"))
    session.touch()
    assert session._managed.idle is None


def test_a_stop_an_exit_and_a_timeout_at_once_are_one_end(
    manager: SessionManager, listener: Listener, timers: Timers
) -> None:
    for number in range(RACES):
        race(manager, listener, timers, number)
