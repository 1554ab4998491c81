"""Running a kill so that an interrupt forces it, waits for it, and is raised afterwards."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Protocol

from ._models import KillResult


class Work(Protocol):
    """What is run: it can be told to hurry."""

    call_soon: Callable[[Callable[[], object]], object] | None

    def run(self) -> KillResult:
        """Do it, in any thread."""

    def hurry(self) -> None:
        """Let it use force now; from any thread."""


class _Job:
    """A work in a thread of its own; a shared pool would let one hung tree delay another."""

    def __init__(self, work: Work, finished: Callable[[], object]) -> None:
        self._work = work
        self._finished = finished
        self._claim = threading.Lock()
        self._result: KillResult | None = None
        self._error: BaseException | None = None
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=lambda: context.run(self._run), name="proctree_kill", daemon=True
        )

    def start(self) -> None:
        """Start it; where that is interrupted, either it runs or it never will.

        Raises:
            RuntimeError: this interpreter starts no threads any more.
        """
        try:
            self._thread.start()
        except BaseException:
            if self._claim.acquire(blocking=False):
                raise
            self._work.hurry()

    def result(self) -> KillResult:
        """Return what came of it once it has finished, or raise what it raised."""
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def _run(self) -> None:
        if not self._claim.acquire(blocking=False):
            return
        try:
            self._result = self._work.run()
        except BaseException as error:  # raised again by result(), in the caller's thread
            self._error = error
        self._finished()


def run(work: Work) -> KillResult:
    """Run it to its end, whatever a signal handler raises meanwhile.

    Handlers run in the main thread only: there the work gets a thread of its own.
    """
    if threading.current_thread() is not threading.main_thread():
        return work.run()
    done = threading.Event()
    job = _Job(work, done.set)
    try:
        job.start()
    except RuntimeError:  # the interpreter is at its exit; there Ctrl-C may interrupt
        return work.run()
    interruption: BaseException | None = None
    while not done.is_set():
        try:
            done.wait()
        except BaseException as error:  # KeyboardInterrupt, SystemExit, a test's timeout
            interruption = interruption or error
            work.hurry()
    if interruption is not None:
        raise interruption
    return job.result()


async def arun(work: Work) -> KillResult:
    """Run it beside an event loop; a cancellation waits until it has finished."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return await _arun_anyio(work)
    return await _arun_asyncio(work, loop)


async def _arun_asyncio(work: Work, loop: asyncio.AbstractEventLoop) -> KillResult:
    done = asyncio.Event()
    work.call_soon = loop.call_soon_threadsafe
    job = _Job(work, lambda: loop.call_soon_threadsafe(done.set))
    job.start()
    cancelled: asyncio.CancelledError | None = None
    while not done.is_set():
        try:
            await done.wait()
        except asyncio.CancelledError as error:
            cancelled = error
            work.hurry()
    if cancelled is not None:
        raise cancelled
    return job.result()


async def _arun_anyio(work: Work) -> KillResult:
    import anyio  # noqa: PLC0415 - an extra; only trio's users have it
    import anyio.from_thread  # noqa: PLC0415
    import anyio.lowlevel  # noqa: PLC0415

    done = anyio.Event()
    token = anyio.lowlevel.current_token()
    job = _Job(work, lambda: anyio.from_thread.run_sync(done.set, token=token))
    job.start()
    try:
        await done.wait()
    except anyio.get_cancelled_exc_class():
        work.hurry()
        with anyio.CancelScope(shield=True):
            await done.wait()
        raise
    return job.result()
