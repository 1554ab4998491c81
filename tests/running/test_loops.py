"""Seam: what another thread has done on an event loop that closes before it begins."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from proctree_kill._running import loops
from support.times import BOUND

Work = Callable[[], object] | Awaitable[object]


def begun_nowhere() -> tuple[Work, list[str]]:
    """Return a coroutine, and what it notes when it begins."""
    begun: list[str] = []

    async def note() -> None:
        begun.append("begun")

    return note(), begun


def called_nowhere() -> tuple[Work, list[str]]:
    """Return a function, and what it notes when it is called."""
    called: list[str] = []
    return lambda: called.append("called"), called


async def caller() -> loops.LoopCaller:
    found = loops.caller_here()
    assert found is not None
    return found


@pytest.mark.parametrize("make", [begun_nowhere, called_nowhere])
def test_a_loop_that_closes_first_blocks_nothing_and_leaves_no_warning(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], tuple[Work, list[str]]]
) -> None:
    monkeypatch.setattr(loops, "CLOSED_LOOP_POLL", 0.01)
    loop = asyncio.new_event_loop()
    work, noted = make()
    call = loop.run_until_complete(caller())(work)
    queued, raised = threading.Event(), []
    call_soon = loop.call_soon_threadsafe

    def observed(*args: Any, **options: Any) -> object:
        handle = call_soon(*args, **options)
        queued.set()
        return handle

    def run() -> None:
        try:
            call.run()
        except RuntimeError as error:
            raised.append(str(error))

    monkeypatch.setattr(loop, "call_soon_threadsafe", observed)
    thread = threading.Thread(target=run)
    thread.start()
    assert queued.wait(BOUND)
    loop.close()
    thread.join(BOUND)
    assert raised == ["the event loop was closed meanwhile"]
    gc.collect()  # strict warnings make a coroutine that was never awaited an error
    assert noted == []


@pytest.mark.parametrize("make", [begun_nowhere, called_nowhere])
def test_a_loop_that_is_closed_refuses_work(
    make: Callable[[], tuple[Work, list[str]]],
) -> None:
    work, noted = make()
    call = asyncio.run(caller())(work)
    with pytest.raises(RuntimeError, match="closed"):
        call.run()
    gc.collect()
    assert noted == []


@pytest.mark.needs("trio")
def test_a_run_of_trio_that_is_over_refuses_work() -> None:
    trio = pytest.importorskip("trio")
    work, noted = begun_nowhere()
    call = trio.run(caller)(work)
    with pytest.raises(trio.RunFinishedError):
        call.run()
    assert inspect.iscoroutine(work)
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
    assert noted == []
