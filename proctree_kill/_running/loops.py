"""Running work beside an event loop: asyncio as it is, trio through anyio."""

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

Runner = Callable[[Awaitable[Any]], object]
"""Has something awaited on an event loop, and blocks until that is done."""


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
        await done.wait()
    except interrupts as error:
        interruption = error
        threads.hurry(work)
    with _shield():
        while not done.is_set():
            try:
                await done.wait()
            except interrupts:
                threads.hurry(work)
        if settle is not None and thread.results:
            thread.results[0] = await settle(thread.results[0])
    if interruption is not None:
        raise interruption
    return thread.result()


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
    import anyio.from_thread  # noqa: PLC0415 - an extra; only trio's users have it
    import anyio.lowlevel  # noqa: PLC0415 - as above

    event = anyio.Event()
    token = anyio.lowlevel.current_token()
    cancelled = anyio.get_cancelled_exc_class()
    finished = partial(anyio.from_thread.run_sync, event.set, token=token)
    return event, finished, (cancelled, KeyboardInterrupt)


def _shield() -> contextlib.AbstractContextManager[object]:
    # A scope of anyio that was cancelled cancels again at every turn of the loop.
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
        import anyio  # noqa: PLC0415 - an extra; only trio's users have it

        with anyio.move_on_after(seconds):
            await wait()
        return
    import asyncio  # noqa: PLC0415 - a loop of it runs: nothing is loaded here

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wait()


class LoopCall(Protocol):
    """One call of a function on an event loop, made by another thread."""

    def run(self) -> None:
        """Call it, await what it returns if that is awaitable, and block until that is done."""

    def cancel(self) -> None:
        """Cancel the call, made or to be made; wait for nothing."""


LoopCaller = Callable[[Callable[[], object]], LoopCall]


def caller_here() -> LoopCaller:
    """Return what prepares calls on the event loop that runs in this thread."""
    if (loop := running_loop()) is not None:
        return partial(_AsyncioCall, loop)
    import trio  # noqa: PLC0415 - an extra; only trio's users have it

    return partial(_TrioCall, trio.lowlevel.current_trio_token())


class _AsyncioCall:
    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
        self._loop = loop
        self._call = call
        self._future: Future[None] | None = None
        self._cancelled = False

    def run(self) -> None:
        import asyncio  # noqa: PLC0415 - there is a loop, so it was imported

        calling = _call(self._call)
        try:
            self._future = asyncio.run_coroutine_threadsafe(calling, self._loop)
        except RuntimeError:  # the loop is closed
            calling.close()
            raise
        if self._cancelled:
            self._future.cancel()
        self._future.result()

    def cancel(self) -> None:
        self._cancelled = True
        if self._future is not None:
            self._future.cancel()


class _TrioCall:
    def __init__(self, token: trio.lowlevel.TrioToken, call: Callable[[], object]) -> None:
        import trio  # noqa: PLC0415 - it is loaded

        self._token = token
        self._call = call
        self._scope = trio.CancelScope()

    def run(self) -> None:
        import trio  # noqa: PLC0415 - it is loaded

        trio.from_thread.run(self._call_in_scope, trio_token=self._token)

    def cancel(self) -> None:
        import trio  # noqa: PLC0415 - it is loaded

        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._scope.cancel)

    async def _call_in_scope(self) -> None:
        with self._scope:
            await _call(self._call)


async def _call(call: Callable[[], object]) -> None:
    returned = call()
    if isinstance(returned, Awaitable):
        await returned


def runner_here() -> Runner | None:
    """Return what awaits on the event loop that runs in this thread; None where there is none."""
    if (loop := running_loop()) is not None:
        return lambda awaitable: _await_on_asyncio(awaitable, loop)
    if "trio" in sys.modules and "anyio" in sys.modules:
        return _anyio_runner()
    return None


def run_in_new_loop(awaitable: Awaitable[Any]) -> None:
    """Await something on an event loop of its own."""
    import asyncio  # noqa: PLC0415 - few need it

    asyncio.run(_await(awaitable))


def _anyio_runner() -> Runner | None:
    import anyio.from_thread  # noqa: PLC0415 - an extra; only trio's users have it
    import anyio.lowlevel  # noqa: PLC0415 - as above

    try:
        token = anyio.lowlevel.current_token()
    except RuntimeError:  # no loop runs here
        return None
    return lambda awaitable: anyio.from_thread.run(_await, awaitable, token=token)


def _await_on_asyncio(awaitable: Awaitable[Any], loop: asyncio.AbstractEventLoop) -> None:
    import asyncio  # noqa: PLC0415 - there is a loop, so it was imported

    waiting = _await(awaitable)
    try:
        future = asyncio.run_coroutine_threadsafe(waiting, loop)
    except RuntimeError:  # the loop is closed
        waiting.close()
        _close(awaitable)
        raise
    while True:
        try:
            future.result(CLOSED_LOOP_POLL)
        except TimeoutError:
            if future.done():  # the awaitable raised it
                raise
            if loop.is_closed():  # what waits in a closed loop never begins
                waiting.close()
                _close(awaitable)
                return
        else:
            return


def _close(awaitable: Awaitable[Any]) -> None:
    # Python warns of a coroutine that was neither awaited nor closed.
    close = getattr(awaitable, "close", None)
    if callable(close):
        close()


async def _await(awaitable: Awaitable[Any]) -> None:
    await awaitable
