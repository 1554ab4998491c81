"""Running work beside an event loop: asyncio as it is, trio through anyio."""

from __future__ import annotations

import contextlib
import inspect
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .._engine.owners import CallSoon
from .._engine.target import Claim
from .._models.result import KillResult
from . import threads
from .threads import Job

if TYPE_CHECKING:
    import asyncio

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class Work(threads.Work[_T_co], Protocol[_T_co]):
    """What is run here: its owners may have to be awaited."""

    @property
    def claims(self) -> Sequence[Claim]:
        """Return whose owners these are."""

    @property
    def deadline(self) -> float:
        """Return until when they are awaited, on the monotonic clock."""

    call_soon: CallSoon | None


async def run(work: Work[_T]) -> _T:
    """Run it in a thread of its own; a cancellation hurries it and waits until it has finished."""
    loop = running_loop()
    return await (_run_on_anyio(work) if loop is None else _run_on_asyncio(work, loop))


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop of asyncio that runs in this thread; asyncio is not imported for that."""
    if "asyncio" not in sys.modules:
        return None
    import asyncio  # noqa: PLC0415 - it is loaded

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _run_on_asyncio(work: Work[_T], loop: asyncio.AbstractEventLoop) -> _T:
    import asyncio  # noqa: PLC0415 - a loop of it runs: nothing is loaded here

    done = asyncio.Event()
    work.call_soon = loop.call_soon_threadsafe
    job = Job(work, lambda: loop.call_soon_threadsafe(done.set))
    interruption = _start(work, job, done.set)
    try:
        await done.wait()
    except asyncio.CancelledError as error:
        interruption = error
        threads.hurry(work)
    with _shield():
        while not done.is_set():
            try:
                await done.wait()
            except asyncio.CancelledError:
                threads.hurry(work)
        await _settle(work, job)
    if interruption is not None:
        raise interruption
    return job.result()


def _shield() -> contextlib.AbstractContextManager[object]:
    """Keep away the cancellations of anyio, which asks again at every turn of the loop."""
    anyio = sys.modules.get("anyio")
    return contextlib.nullcontext() if anyio is None else anyio.CancelScope(shield=True)


async def _run_on_anyio(work: Work[_T]) -> _T:
    import anyio.from_thread  # noqa: PLC0415 - an extra; only trio's users have it
    import anyio.lowlevel  # noqa: PLC0415 - as above

    done = anyio.Event()
    token = anyio.lowlevel.current_token()
    job = Job(work, lambda: anyio.from_thread.run_sync(done.set, token=token))
    interruption = _start(work, job, done.set)
    try:
        await done.wait()
    except anyio.get_cancelled_exc_class():
        threads.hurry(work)
        with anyio.CancelScope(shield=True):
            await done.wait()
            await _settle(work, job)
        raise
    await _settle(work, job)
    if interruption is not None:
        raise interruption
    return job.result()


def _start(work: Work[_T], job: Job[_T], finished: Callable[[], object]) -> BaseException | None:
    """Start the thread; return what interrupted that.

    Where the system has no thread left, as in a storm of forks, force is used here and now:
    that blocks the event loop for as long as a kill takes, and waits for no grace.
    """
    try:
        if not job.start():
            work.hurry()
            job.run_here()
            finished()
    except BaseException as error:
        if job.cancel():
            raise
        threads.hurry(work)
        return error
    return None


async def _settle(work: Work[_T], job: Job[_T]) -> None:
    """Await the owners whose ``wait`` is a coroutine function, until the deadline.

    asyncio's waits for the pipes as well (cpython#119710), so that it needs a bound.
    """
    results = [one for one in job.done if isinstance(one, KillResult)]
    alive = {one.identity.pid for result in results for one in result.survivors}
    for claim in work.claims if results else ():
        wait = getattr(claim.owner, "wait", None)
        if claim.pid not in alive and inspect.iscoroutinefunction(wait):
            await _within(wait, max(work.deadline - time.monotonic(), 0))


async def _within(wait: Callable[[], Any], seconds: float) -> None:
    """Await for so many seconds at most."""
    if running_loop() is None:
        import anyio  # noqa: PLC0415 - an extra; only trio's users have it

        with anyio.move_on_after(seconds):
            await wait()
        return
    import asyncio  # noqa: PLC0415 - a loop of it runs: nothing is loaded here

    try:
        async with asyncio.timeout(seconds):
            await wait()
    except TimeoutError:  # its pipes are open still; it has a returncode all the same
        return


Runner = Callable[[Awaitable[Any]], object]
"""Has something awaitable awaited, and waits for that."""


LOOK = 1.0
"""Seconds after which it is looked whether an event loop is still there."""


def runner_here() -> Runner | None:
    """Return what awaits on the event loop that runs in this thread; None where there is none."""
    if (asyncio := sys.modules.get("asyncio")) is not None:
        with contextlib.suppress(RuntimeError):  # no loop runs here
            loop = asyncio.get_running_loop()
            return lambda told: _on_asyncio(told, loop)
    if "trio" in sys.modules and "anyio" in sys.modules:
        return _runner_on_anyio()
    return None


def _runner_on_anyio() -> Runner | None:
    """Return what awaits on anyio's loop."""
    import anyio.from_thread  # noqa: PLC0415 - an extra; only trio's users have it
    import anyio.lowlevel  # noqa: PLC0415 - as above

    try:
        token = anyio.lowlevel.current_token()
    except RuntimeError:
        return None
    return lambda told: anyio.from_thread.run(_awaited, told, token=token)


def _on_asyncio(told: Awaitable[Any], loop: Any) -> None:  # noqa: ANN401 - asyncio may not be there
    """Have it awaited on a loop, for as long as that runs."""
    import asyncio  # noqa: PLC0415 - there is a loop, so it was imported

    waiting = _awaited(told)
    try:
        future = asyncio.run_coroutine_threadsafe(waiting, loop)
    except RuntimeError:  # the loop is closed
        waiting.close()
        _dispose(told)
        raise
    while True:
        try:
            future.result(LOOK)
        except TimeoutError:
            if future.done():  # its own
                raise
            if loop.is_closed():
                waiting.close()  # a loop that is closed never begins what waits in it
                _dispose(told)
                return
        else:
            return


def in_a_loop_of_its_own(told: Awaitable[Any]) -> None:
    """Have it awaited where the manager was entered without a loop."""
    import asyncio  # noqa: PLC0415 - few need it

    asyncio.run(_awaited(told))


def _dispose(told: Awaitable[Any]) -> None:
    """Close a coroutine that nobody will await, which Python would complain about."""
    close = getattr(told, "close", None)
    if callable(close):
        close()


async def _awaited(told: Awaitable[Any]) -> None:
    """Await it."""
    await told
