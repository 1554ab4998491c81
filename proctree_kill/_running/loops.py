"""Running work beside an event loop of asyncio or trio, neither of which is imported for it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from . import threads
from .threads import Act, Work, WorkThread

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

    import trio

_T = TypeVar("_T")

CLOSED_LOOP_POLL = 1.0  # seconds between two checks whether an event loop was closed


async def run(work: Work[_T], *, settle: Callable[[_T], Awaitable[_T]] | None = None) -> _T:
    """Run work in a thread of its own; an interrupt hurries it, and is raised when it has finished.

    Args:
        work: what is done.
        settle: awaited with the result afterwards, and returns the final one.
    """
    done, finished, interrupts = _completion()
    thread = WorkThread(work, finished)
    interruption = _start(work, thread, done.set)
    try:
        await _wait(thread, done)
    except interrupts as error:
        interruption = error
        threads.hurry(work)
    with _shield():
        while not done.is_set():
            try:
                await _wait(thread, done)
            except interrupts:
                threads.hurry(work)
        if settle is not None and thread.results:
            thread.results[0] = await settle(thread.results[0])
    if interruption is not None:
        raise interruption
    return thread.result()


async def _wait(thread: WorkThread[Any], done: Any) -> None:  # noqa: ANN401 - an event of the loop
    await wait_within(done.wait, threads.START_TIME)
    if thread.take_over(hurry=True):
        done.set()
    await done.wait()


async def do(act: Callable[[], _T]) -> _T:
    """Run what cannot be hurried; a cancellation waits until it has finished."""
    return await run(Act(act))


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop of asyncio that runs in this thread; asyncio is not imported for that."""
    if "asyncio" not in sys.modules:
        return None
    import asyncio  # noqa: PLC0415 - it is loaded

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _completion() -> tuple[Any, Callable[[], object], tuple[type[BaseException], ...]]:
    """Return an event of the loop, what sets it from another thread, and what interrupts a wait.

    That is a cancellation, or Ctrl-C, which trio raises in a task that waits.
    """
    if (loop := running_loop()) is not None:
        import asyncio  # noqa: PLC0415 - a loop of it runs: nothing is loaded here

        done = asyncio.Event()
        interrupts = (asyncio.CancelledError, KeyboardInterrupt)
        return done, lambda: loop.call_soon_threadsafe(done.set), interrupts
    trio = _trio()
    event = trio.Event()
    finished = partial(trio.lowlevel.current_trio_token().run_sync_soon, event.set)
    return event, finished, (trio.Cancelled, KeyboardInterrupt)


def _trio() -> Any:  # noqa: ANN401 - trio, an extra
    """Return trio, which is loaded where a loop of it runs; its functions raise where none does.

    Raises:
        RuntimeError: it is not loaded, so no loop of it runs here.
    """
    if (trio := sys.modules.get("trio")) is None:
        text = "no event loop of asyncio or trio runs here"
        raise RuntimeError(text)
    return trio


def _shield() -> contextlib.AbstractContextManager[object]:
    # A scope of anyio or trio that was cancelled cancels again, at each turn or wait.
    if running_loop() is None:
        shield: contextlib.AbstractContextManager[object] = _trio().CancelScope(shield=True)
        return shield
    anyio = sys.modules.get("anyio")
    return contextlib.nullcontext() if anyio is None else anyio.CancelScope(shield=True)


def _start(
    work: Work[_T], thread: WorkThread[_T], finished: Callable[[], object]
) -> BaseException | None:
    """Start the thread; return the interrupt that was raised meanwhile."""
    try:
        # Work that is done here blocks the event loop, so it must wait for no grace.
        if not thread.start(hurry=True):
            finished()
    except BaseException as error:
        if thread.cancel():
            raise
        threads.hurry(work)
        return error
    return None


async def wait_within(wait: Callable[[], Awaitable[Any]], seconds: float) -> None:
    """Await the end of a wait, for so many seconds at most."""
    if running_loop() is None:
        with _trio().move_on_after(seconds):
            await wait()
        return
    import asyncio  # noqa: PLC0415 - a loop of it runs: nothing is loaded here

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wait()


class LoopCall(Protocol):
    """One use of an event loop by another thread."""

    def run(self) -> None:
        """Call the function, await what is awaitable, and block until that is done.

        Raises:
            RuntimeError: the loop ended before it began.
        """

    def cancel(self) -> None:
        """Cancel it, begun or not; wait for nothing."""


LoopCaller = Callable[[Callable[[], object] | Awaitable[object]], LoopCall]
"""Prepares the call of a function on an event loop, or the wait for an awaitable."""


def caller_here() -> LoopCaller | None:
    """Return what uses the event loop that runs in this thread; None where there is none."""
    if (loop := running_loop()) is not None:
        return partial(_AsyncioCall, loop)
    if (trio := sys.modules.get("trio")) is None:
        return None
    try:
        return partial(_TrioCall, trio.lowlevel.current_trio_token())
    except RuntimeError:  # no loop runs here
        return None


class _AsyncioCall:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, work: Callable[[], object] | Awaitable[object]
    ) -> None:
        self._loop = loop
        self._work = work
        self._future: Future[None] | None = None
        self._cancelled = False

    def run(self) -> None:
        import asyncio  # noqa: PLC0415 - there is a loop, so it was imported

        doing = _do(self._work)
        try:
            self._future = asyncio.run_coroutine_threadsafe(doing, self._loop)
        except RuntimeError:  # the loop is closed
            doing.close()
            close_unawaited(self._work)
            raise
        if self._cancelled:
            self._future.cancel()
        while not self._future.done():
            try:
                self._future.result(CLOSED_LOOP_POLL)
            except TimeoutError:
                if not self._future.done() and self._loop.is_closed():
                    doing.close()  # what waits in a closed loop never begins
                    close_unawaited(self._work)
                    text = "the event loop was closed meanwhile"
                    raise RuntimeError(text) from None
        self._future.result()

    def cancel(self) -> None:
        self._cancelled = True
        if self._future is not None:
            self._future.cancel()


class _TrioCall:
    def __init__(
        self, token: trio.lowlevel.TrioToken, work: Callable[[], object] | Awaitable[object]
    ) -> None:
        import trio  # noqa: PLC0415 - it is loaded

        self._token = token
        self._work = work
        self._scope = trio.CancelScope()

    def run(self) -> None:
        import trio  # noqa: PLC0415 - it is loaded

        try:
            trio.from_thread.run(self._do_in_scope, trio_token=self._token)
        except trio.RunFinishedError:
            close_unawaited(self._work)
            raise

    def cancel(self) -> None:
        import trio  # noqa: PLC0415 - it is loaded

        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._scope.cancel)

    async def _do_in_scope(self) -> None:
        with self._scope:
            await _do(self._work)


async def _do(work: Callable[[], object] | Awaitable[object]) -> None:
    returned = work() if callable(work) else work
    if isinstance(returned, Awaitable):
        await returned


def close_unawaited(work: object) -> None:
    """Close a coroutine that nothing will await, or Python warns of it; nothing else is touched."""
    close = getattr(work, "close", None)
    if isinstance(work, Awaitable) and callable(close):
        close()


def run_in_new_loop(awaitable: Awaitable[Any]) -> None:
    """Await something on an event loop of its own."""
    import asyncio  # noqa: PLC0415 - few need it

    asyncio.run(_do(awaitable))
