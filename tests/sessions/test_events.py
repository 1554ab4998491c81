"""Real: broadcasters that are slow, raise, block or are coroutines, and their events."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from proctree_kill import SessionEvent, SessionManager
from proctree_kill._running import loops
from proctree_kill._sessions import events as session_events
from proctree_kill._sessions import manager as session_manager
from support.agents import PATIENT
from support.listener import Listener
from support.loops import on_asyncio
from support.threads import running_threads, wait_for_new_threads
from support.times import BOUND

pytestmark = pytest.mark.needs("fork")

AGENT = ["sleep", "1000"]
WHOLE = ["started", "stopping", "stopped"]


class Gate:
    """A broadcaster that blocks until it is opened."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()
        self.listener = Listener()

    def __call__(self, event: SessionEvent) -> None:
        self.entered.set()
        assert self.open.wait(BOUND)
        self.listener(event)


@pytest.fixture
def gate() -> Iterator[Gate]:
    threads, gate = running_threads(), Gate()
    yield gate
    gate.open.set()
    wait_for_new_threads(threads)


def errors_of(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return our errors: asyncio tells of tasks of earlier tests whenever they are collected."""
    records = [record for record in caplog.records if record.name == "proctree_kill"]
    return [record for record in records if record.levelno == logging.ERROR]


def come_and_go(manager: SessionManager, session_id: str = "a") -> None:
    manager.spawn_agent(session_id, AGENT)
    assert manager.stop_agent(session_id).success


def test_an_event_is_its_json_and_knows_when_it_was(
    manager: SessionManager, listener: Listener
) -> None:
    session = manager.spawn_agent("a", AGENT, tool="claude")
    manager.stop_agent("a")
    stopped = listener.wait("stopped")
    assert [event.event for event in listener.events] == [
        f"claude.session.{name}" for name in WHOLE
    ]
    assert [event.state for event in listener.events] == ["running", "stopping", "stopped"]
    assert {event.pid for event in listener.events} == {session.identity and session.identity.pid}
    assert SessionEvent.model_validate_json(stopped.model_dump_json()) == stopped
    times = [event.at for event in listener.events]
    assert times == sorted(times)


def test_a_blocked_broadcaster_delays_no_stop(tmp_path: Path, gate: Gate) -> None:
    manager = SessionManager(tmp_path, policy=PATIENT, event_broadcaster=gate)
    come_and_go(manager)
    assert gate.entered.wait(BOUND)
    assert gate.listener.events == []
    gate.open.set()
    gate.listener.wait("stopped")
    assert gate.listener.names() == WHOLE


def test_the_block_of_a_manager_ends_although_its_broadcaster_is_blocked(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_manager, "FLUSH", 0.01)
    with SessionManager(tmp_path, policy=PATIENT, event_broadcaster=gate) as manager:
        manager.spawn_agent("a", AGENT)
    assert not gate.open.is_set()


def test_of_too_many_events_the_oldest_are_lost_and_it_is_said(
    tmp_path: Path,
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(session_events, "CAPACITY", 3)
    manager = SessionManager(tmp_path, policy=PATIENT, event_broadcaster=gate)
    manager.spawn_agent("a", AGENT)
    assert gate.entered.wait(BOUND)  # with the first one
    manager.stop_agent("a")
    come_and_go(manager, "b")
    gate.open.set()
    gate.listener.wait("stopped", "b")
    assert gate.listener.names("a") == ["started"]
    assert gate.listener.names("b") == WHOLE
    lost = [record for record in caplog.records if "too slow" in record.message]
    assert [vars(record)["session_id"] for record in lost] == ["a", "a"]


def test_a_broadcaster_that_raises_gets_the_next_event_all_the_same(
    tmp_path: Path, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    def raising(event: SessionEvent) -> None:
        listener(event)
        text = "no network"
        raise OSError(text)

    with SessionManager(tmp_path, policy=PATIENT, event_broadcaster=raising) as manager:
        come_and_go(manager)
    assert listener.names() == WHOLE
    failures = errors_of(caplog)
    assert len(failures) == 3
    assert all(vars(record)["session_id"] == "a" and record.exc_info for record in failures)


@pytest.mark.needs("fork")
def test_a_broadcaster_blocks_no_signal_so_that_it_may_start_processes(tmp_path: Path) -> None:
    blocked: list[object] = []

    def look(_: SessionEvent) -> None:
        blocked.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    with SessionManager(tmp_path, policy=PATIENT, event_broadcaster=look) as manager:
        come_and_go(manager)
    assert blocked == [set()] * 3


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, KeyboardInterrupt])
def test_a_broadcaster_may_raise_what_ends_a_thread(
    tmp_path: Path,
    listener: Listener,
    caplog: pytest.LogCaptureFixture,
    error: type[BaseException],
) -> None:
    async def raising(event: SessionEvent) -> None:
        listener(event)
        raise error

    with SessionManager(tmp_path, policy=PATIENT, event_broadcaster=raising) as manager:
        come_and_go(manager)
    assert listener.names() == WHOLE
    failures = errors_of(caplog)
    assert len(failures) == 3


def test_a_signal_handler_may_tell_at_any_moment_while_its_thread_tells(
    manager: SessionManager,
) -> None:
    session = manager.spawn_agent("a", AGENT)
    event = SessionEvent(
        event="x.session.started",
        session_id="a",
        tool="x",
        state=session.state,
        pid=1,
        at=0.0,
    )
    listener = Listener()
    queue = session_events.EventQueue(listener)
    told = 0

    def handle(frame: FrameType, what: str, _: object) -> Any:  # noqa: ANN401 - itself
        nonlocal told
        if frame.f_code.co_filename != session_events.__file__:
            return None
        frame.f_trace_opcodes = True
        if what == "opcode":
            sys.settrace(None)
            queue.send(event)
            told += 1
            sys.settrace(handle)
        return handle

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # or Python 3.12 tells of none in other frames
    sys.settrace(handle)
    try:
        queue.send(event)
        assert queue.flush(BOUND)
    finally:
        sys.settrace(before)
    queue.close()
    assert queue.flush(BOUND)
    assert len(listener.events) == told + 1 > 30


def test_the_events_of_many_sessions_keep_their_order_in_each(
    tmp_path: Path, listener: Listener
) -> None:
    names = [str(number) for number in range(8)]
    manager = SessionManager(tmp_path, policy=PATIENT, event_broadcaster=listener)
    with manager, ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(come_and_go, manager), names))
    assert [listener.names(name) for name in names] == [WHOLE] * 8


def test_a_coroutine_runs_on_the_loop_where_the_manager_was_entered(
    tmp_path: Path, listener: Listener
) -> None:
    loops: set[object] = set()

    async def broadcaster(event: SessionEvent) -> None:
        await asyncio.sleep(0)
        loops.add(asyncio.get_running_loop())
        listener(event)

    async def scene() -> object:
        async with SessionManager(
            tmp_path, policy=PATIENT, event_broadcaster=broadcaster
        ) as manager:
            await manager.aspawn_agent("a", AGENT)
            await manager.astop_agent("a")
        return asyncio.get_running_loop()

    assert loops == {on_asyncio(scene)}
    assert listener.names() == WHOLE


def test_a_coroutine_runs_on_trio_where_the_manager_was_entered_there(
    tmp_path: Path, listener: Listener
) -> None:
    trio = pytest.importorskip("trio")
    tasks: set[str] = set()

    async def broadcaster(event: SessionEvent) -> None:
        await trio.lowlevel.checkpoint()
        tasks.add(threading.current_thread().name)
        listener(event)

    async def scene() -> None:
        async with SessionManager(
            tmp_path, policy=PATIENT, event_broadcaster=broadcaster
        ) as manager:
            await manager.aspawn_agent("a", AGENT)
            await manager.astop_agent("a")

    trio.run(scene)
    assert tasks == {threading.current_thread().name}
    assert listener.names() == WHOLE


def test_a_coroutine_runs_on_a_loop_of_its_own_where_there_is_none(
    tmp_path: Path, listener: Listener
) -> None:
    class Broadcaster:
        async def __call__(self, event: SessionEvent) -> None:
            await asyncio.sleep(0)
            listener(event)

    with SessionManager(tmp_path, policy=PATIENT, event_broadcaster=Broadcaster()) as manager:
        come_and_go(manager)
    assert listener.names() == WHOLE


def test_a_coroutine_whose_loop_is_over_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loops, "CLOSED_LOOP_POLL", 0.01)
    monkeypatch.setattr(session_manager, "FLUSH", 0.01)
    threads, entered = running_threads(), threading.Event()

    async def broadcaster(_: SessionEvent) -> None:
        entered.set()
        await asyncio.Event().wait()

    manager = SessionManager(tmp_path, policy=PATIENT, event_broadcaster=broadcaster)

    async def scene() -> None:
        async with manager:
            await manager.aspawn_agent("a", AGENT)
            await asyncio.to_thread(entered.wait, BOUND)

    asyncio.run(scene())
    wait_for_new_threads(threads)
    assert not [record for record in caplog.records if "never awaited" in record.getMessage()]


def test_without_a_broadcaster_there_is_no_thread_for_it(tmp_path: Path) -> None:
    threads = running_threads()  # one of an earlier test may be ending
    with SessionManager(tmp_path, policy=PATIENT) as manager:
        manager.spawn_agent("a", AGENT, stdin=subprocess.DEVNULL)
        new = running_threads() - threads
        assert "proctree_kill events" not in {thread.name for thread in new}


def test_what_happens_is_logged_with_the_session(
    manager: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "proctree_kill"):
        come_and_go(manager)
    said = [record for record in caplog.records if vars(record).get("session_id") == "a"]
    assert [record.message for record in said] == [f"session a {record}" for record in WHOLE]
