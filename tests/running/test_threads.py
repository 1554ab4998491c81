"""Seam: a work that takes as long as a test wants, interrupted and cancelled."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import contextvars
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from proctree_kill import KillResult
from proctree_kill._models.errors import TargetRefusedError
from proctree_kill._running import loops, threads
from support.loops import on_asyncio, on_both, on_trio

RESULT = KillResult(target=(), outcomes=(), seconds=0.0)
T = TypeVar("T")
BOUND = 20.0  # seconds that bound a failure

colour = contextvars.ContextVar("colour", default="none")


class Work:
    """A work that ends at once, or only when it is told to hurry.

    Attributes:
        thread: where it ran.
        hurries: how often it was told to hurry.
    """

    def __init__(
        self,
        outcome: KillResult | BaseException = RESULT,
        *,
        waits: bool = False,
        begins: Callable[[], object] = lambda: None,
    ) -> None:
        self.outcome = outcome
        self.begins = begins
        self.begun = threading.Event()
        self.may_end = threading.Event()
        if not waits:
            self.may_end.set()
        self.hurries = 0
        self.thread: threading.Thread | None = None
        self.colour = ""
        self.ended = False

    def run(self) -> KillResult:
        self.thread, self.colour = threading.current_thread(), colour.get()
        self.begun.set()
        self.begins()
        assert self.may_end.wait(BOUND)
        self.ended = True
        if isinstance(self.outcome, KillResult):
            return self.outcome
        raise self.outcome

    def hurry(self) -> None:
        self.hurries += 1
        self.may_end.set()


class Interruption(BaseException):
    """What a signal handler of the caller raises."""


def interrupt(number: int = signal.SIGINT) -> None:
    """Send a signal to the main thread, from any."""
    signal.pthread_kill(threading.main_thread().ident or 0, number)


@pytest.fixture
def handler() -> Iterator[list[BaseException]]:
    """Install a handler that raises these, one after the other."""
    raised: list[BaseException] = []

    def handle(*_: object) -> None:
        if raised:
            raise raised.pop(0)

    before = signal.signal(signal.SIGINT, handle)
    yield raised
    signal.signal(signal.SIGINT, before)


def test_the_main_thread_lets_another_work() -> None:
    work = Work()
    assert threads.run(work) is RESULT
    assert work.thread is not threading.current_thread()


def test_any_other_thread_works_itself() -> None:
    work = Work()
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(threads.run(work)))
    thread.start()
    thread.join(BOUND)
    assert found == [RESULT]
    assert work.thread is thread


def test_what_the_work_raises_is_raised_here() -> None:
    with pytest.raises(TargetRefusedError, match="process 7 is refused"):
        threads.run(Work(TargetRefusedError(7, "no")))


def test_the_work_sees_the_context_of_the_caller() -> None:
    work = Work()
    token = colour.set("red")
    threads.run(work)
    colour.reset(token)
    assert work.colour == "red"


@pytest.mark.needs("fork")
def test_an_interrupt_hurries_the_work_and_is_raised_when_it_has_ended(
    handler: list[BaseException],
) -> None:
    handler.append(Interruption())
    work = Work(waits=True, begins=interrupt)
    with pytest.raises(Interruption):
        threads.run(work)
    assert (work.hurries, work.ended) == (1, True)


@pytest.mark.needs("fork")
def test_of_several_interrupts_the_first_is_raised(handler: list[BaseException]) -> None:
    first, second = Interruption("first"), Interruption("second")
    handler += [first, second]

    class Stubborn(Work):
        def hurry(self) -> None:
            self.hurries += 1
            if self.hurries == 2:
                self.may_end.set()
            else:
                threading.Thread(target=interrupt).start()

    work = Stubborn(waits=True, begins=interrupt)
    with pytest.raises(Interruption, match="first"):
        threads.run(work)
    assert (work.hurries, work.ended) == (2, True)


@pytest.mark.needs("fork")
def test_a_handler_that_raises_nothing_interrupts_nothing(handler: list[BaseException]) -> None:
    work = Work(begins=interrupt)
    assert handler == []
    assert threads.run(work) is RESULT
    assert work.hurries == 0


@pytest.mark.needs("fork")
def test_an_interrupt_wins_over_what_the_work_raises(handler: list[BaseException]) -> None:
    handler.append(Interruption())
    with pytest.raises(Interruption):
        threads.run(Work(TargetRefusedError(7, "no"), waits=True, begins=interrupt))


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    "run",
    [threads.run, lambda work: asyncio.run(loops.run(work))],
    ids=["blocking", "awaited"],
)
def test_an_interrupt_while_the_thread_starts_is_raised_and_nothing_goes_on(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[Work], KillResult], *, before: bool
) -> None:
    work = Work(waits=True)
    start = _thread.start_new_thread

    def interrupted(act: Callable[..., object], arguments: tuple[Any, ...]) -> int:
        if threading.current_thread() is threading.main_thread():
            if not before:
                start(act, arguments)
                work.begun.wait(BOUND)
            monkeypatch.undo()
            raise Interruption
        return start(act, arguments)

    monkeypatch.setattr(_thread, "start_new_thread", interrupted)
    with pytest.raises(Interruption):
        run(work)
    assert work.ended is work.begun.is_set() is not before


def test_where_no_thread_can_be_started_the_caller_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        text = "can't start new thread"
        raise RuntimeError(text)

    monkeypatch.setattr(_thread, "start_new_thread", fail)
    work = Work()
    assert threads.run(work) is RESULT
    assert work.thread is threading.main_thread()


@pytest.mark.parametrize(
    "run",
    [
        threads.run,
        lambda work: on_asyncio(lambda: loops.run(work)),
        pytest.param(
            lambda work: on_trio(lambda: loops.run(work)), marks=pytest.mark.needs("trio")
        ),
        lambda work: threads.Parallel([work]).run()[0],
    ],
    ids=["blocking", "asyncio", "trio", "parallel"],
)
def test_where_a_thread_never_begins_the_caller_works(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[Work], KillResult]
) -> None:
    """Without memory it ends before its first line."""
    monkeypatch.setattr(threads, "START_TIME", 0.01)
    monkeypatch.setattr(_thread, "start_new_thread", lambda *_: 1)
    work = Work()
    assert run(work) is RESULT
    assert work.thread is threading.main_thread()


@on_both
def test_a_loop_gets_the_result(loop: Callable[..., Any]) -> None:
    work = Work()
    assert loop(lambda: loops.run(work)) is RESULT
    assert work.thread is not threading.current_thread()


@on_both
def test_a_loop_gets_what_the_work_raises(loop: Callable[..., Any]) -> None:
    with pytest.raises(TargetRefusedError, match="process 7 is refused"):
        loop(lambda: loops.run(Work(TargetRefusedError(7, "no"))))


@on_both
def test_the_work_of_a_loop_sees_the_context_of_its_task(loop: Callable[..., Any]) -> None:
    work = Work()

    async def main() -> None:
        colour.set("blue")
        await loops.run(work)

    loop(main)
    assert work.colour == "blue"


def test_a_loop_goes_on_while_the_work_does() -> None:
    work = Work(waits=True)

    async def main() -> KillResult:
        killing = asyncio.create_task(loops.run(work))
        await asyncio.to_thread(work.begun.wait, BOUND)
        assert not killing.done()
        work.may_end.set()
        return await killing

    assert asyncio.run(main()) is RESULT


@pytest.mark.needs("trio")
def test_a_trio_loop_goes_on_while_the_work_does() -> None:
    trio = pytest.importorskip("trio")

    work = Work(waits=True)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loops.run, work)
            await trio.to_thread.run_sync(work.begun.wait, BOUND)
            work.may_end.set()

    trio.run(main)
    assert work.ended


@on_both
def test_what_settles_a_result_returns_the_final_one(loop: Callable[..., Any]) -> None:
    async def settle(result: KillResult) -> KillResult:
        return result.model_copy(update={"seconds": 1.0})

    assert loop(lambda: loops.run(Work(), settle=settle)).seconds == 1.0


@on_both
def test_where_the_work_raises_nothing_is_settled(loop: Callable[..., Any]) -> None:
    settled: list[KillResult] = []

    async def settle(result: KillResult) -> KillResult:
        settled.append(result)
        return result

    work = Work(TargetRefusedError(7, "no"))
    with pytest.raises(TargetRefusedError, match="process 7 is refused"):
        loop(lambda: loops.run(work, settle=settle))
    assert settled == []


async def cancelled_on_asyncio(work: Work, times: int = 1) -> None:
    """Cancel a task that waits for a work, when the work has begun."""
    task = asyncio.create_task(loops.run(work))
    await asyncio.to_thread(work.begun.wait, BOUND)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def cancelled_on_trio(work: Work) -> None:
    """Cancel a scope that waits for a work, when the work has begun."""
    import trio  # noqa: PLC0415 - an extra

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loops.run, work)
            await trio.to_thread.run_sync(work.begun.wait, BOUND)
            scope.cancel()
    assert scope.cancelled_caught


CANCELLINGS = [
    pytest.param(on_asyncio, cancelled_on_asyncio, id="asyncio"),
    pytest.param(on_trio, cancelled_on_trio, id="trio", marks=pytest.mark.needs("trio")),
]
when_cancelled = pytest.mark.parametrize(("loop", "cancelled"), CANCELLINGS)


@when_cancelled
def test_a_cancellation_hurries_the_work_and_goes_through_when_it_has_ended(
    loop: Callable[..., Any], cancelled: Callable[[Work], Any]
) -> None:
    work = Work(waits=True)
    loop(lambda: cancelled(work))
    assert work.ended
    assert work.hurries >= 1


@pytest.mark.needs("fork")
@on_both
def test_an_interrupt_of_a_loop_is_raised_when_the_hurried_work_has_ended(
    loop: Callable[..., Any],
) -> None:
    work = Work(waits=True, begins=interrupt)
    with pytest.raises(KeyboardInterrupt):
        loop(lambda: loops.run(work))
    assert work.ended
    assert work.hurries >= 1


@when_cancelled
def test_a_cancellation_wins_over_what_the_work_raises(
    loop: Callable[..., Any], cancelled: Callable[[Work], Any]
) -> None:
    work = Work(TargetRefusedError(7, "no"), waits=True)
    loop(lambda: cancelled(work))
    assert work.ended


def test_a_task_that_is_cancelled_again_still_waits_for_the_end() -> None:
    class Stubborn(Work):
        def hurry(self) -> None:
            self.hurries += 1
            if self.hurries == 3:
                self.may_end.set()

    work = Stubborn(waits=True)
    asyncio.run(cancelled_on_asyncio(work, times=3))
    assert (work.hurries, work.ended) == (3, True)
