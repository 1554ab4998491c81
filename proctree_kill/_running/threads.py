"""Running work so that an interrupt hurries it, waits for it, and is raised afterwards.

Python runs signal handlers in the main thread, between any two bytecodes. So the main thread only
waits here. A lock of this package is never held in it: a handler that wants the same lock, or
waits for a thread that does, would wait for ever.
"""

from __future__ import annotations

import _thread
import contextvars
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from .._engine.owners import CallSoon
from .._engine.target import Claim

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

WAIT_SLICE = 0.1
"""Seconds after which the waiting main thread looks up.

A signal that comes between its last look and its sleep does not wake it,
and on Windows none does (cpython#80116).
"""


class Work(Protocol[_T_co]):
    """What is run: it can be told to hurry."""

    def run(self) -> _T_co:
        """Do it, in any thread."""

    def hurry(self) -> None:
        """Let it use force now; from any thread, but see :func:`hurry`."""


class Job(Generic[_T]):
    """A work in a thread of its own; a shared pool would let one hung tree delay another."""

    def __init__(
        self,
        work: Work[_T],
        finished: Callable[[], object],
        stay: Callable[[_T], object] | None = None,
    ) -> None:
        """Prepare the thread.

        Args:
            work: what it does.
            finished: called once there is a result, in the thread.
            stay: called with the result after that, for as long as the thread is needed;
                nothing else refers to the work by then.
        """
        self._work = work
        self._finished = finished
        self._stay = stay
        self._claim = threading.Lock()
        self._context = contextvars.copy_context()
        self.cancelled = self.over = False
        self.done: list[_T] = []
        self._error: BaseException | None = None

    def start(self) -> bool:
        """Start the thread; tell whether one is to be had.

        An interrupt that is raised here has not started it if :meth:`cancel` says so.
        """
        try:
            # threading.Thread would hold locks that a signal handler may want, and costs more.
            _thread.start_new_thread(_run, ([self],))
        except RuntimeError:  # the system has none left, or the interpreter is at its exit
            return not self.cancel()
        return True

    def cancel(self) -> bool:
        """See to it that the thread does nothing; False where it has begun."""
        self.cancelled = self.cancelled or self._claim.acquire(blocking=False)
        return self.cancelled

    def run_here(self) -> None:
        """Do the work in this thread."""
        try:
            self.done.append(self._context.run(self._work.run))
        except BaseException as error:  # noqa: BLE001 - result() raises it in the caller's thread
            self._error = error
        self.over = True

    def result(self) -> _T:
        """Return what came of it once it has finished, or raise what it raised."""
        if self.done:
            return self.done[0]
        error, self._error = self._error, None
        try:
            raise error or RuntimeError("it has not finished")
        finally:
            del error  # or its traceback would hold the work

    def begin(self) -> Callable[[], object] | None:
        """Do the work, unless it was cancelled; return what the thread has to do after it."""
        if not self._claim.acquire(blocking=False):
            return None
        self.run_here()
        self._finished()
        if self._stay is None or not self.done:
            return None
        stay, result = self._stay, self.done[0]
        return lambda: stay(result)


def _run(box: list[Job[Any]]) -> None:
    """Be a thread. The box is emptied, because the interpreter keeps a thread's arguments."""
    if (trace := threading.gettrace()) is not None:  # debuggers and coverage, as threading does
        sys.settrace(trace)
    afterwards = box.pop().begin()
    if afterwards is not None:
        afterwards()


def run(work: Work[_T], *, stay: Callable[[_T], object] | None = None) -> _T:
    """Run it to its end, whatever a signal handler raises meanwhile.

    Handlers run in the main thread only: there the work gets a thread of its own.

    Args:
        work: what is done.
        stay: makes it have one in any case, which calls this with the result afterwards.
    """
    if stay is None and not _is_main():
        return work.run()
    over = threading.Lock()
    over.acquire()
    job = Job(work, over.release, stay)
    try:
        if job.start():
            _await(job, over)
        else:
            job.run_here()
    except BaseException:
        if not job.cancel():
            while not job.over:
                _hold_back(job, over, work)
        raise
    return job.result()


def do(act: Callable[[], _T]) -> _T:
    """Run what takes a lock and cannot be hurried."""
    return run(_Act(act))


class _Act(Generic[_T]):
    """A work that takes no longer than it must."""

    def __init__(self, act: Callable[[], _T]) -> None:
        self.run = act

    def hurry(self) -> None:
        """Do nothing."""


def hurry(work: Work[Any]) -> None:
    """Hurry a work; of the locks that it takes none is taken in the main thread."""
    if not _is_main():
        work.hurry()
        return
    try:
        _thread.start_new_thread(work.hurry, ())
    except RuntimeError:  # no thread is to be had
        work.hurry()


def _is_main() -> bool:
    """Tell whether this is the thread in which signal handlers run."""
    return threading.get_ident() == threading.main_thread().ident


def _await(job: Job[Any], over: threading.Lock) -> None:
    """Wait for a job; an interrupt may come at any point, and the wait begin again."""
    while not job.over:
        over.acquire(timeout=WAIT_SLICE)


def _hold_back(job: Job[Any], over: threading.Lock, work: Work[Any]) -> None:
    """Hurry a job and wait for it; what is raised meanwhile has already been raised once."""
    try:
        hurry(work)
        _await(job, over)
    except BaseException:  # noqa: BLE001 - the first one is raised when the job is over
        return


class PlainWork:
    """What a work that has no owners to be awaited says of them."""

    claims: Sequence[Claim] = ()
    deadline = 0.0
    call_soon: CallSoon | None = None


class Parallel(PlainWork, Generic[_T]):
    """Works that are done at the same time, each in a thread of its own."""

    def __init__(self, works: Sequence[Work[_T]], at_once: int | None = None) -> None:
        """Say which, and how many of them at a time; default all."""
        self._works = works
        self._slots = threading.Semaphore(at_once or max(len(works), 1))

    def run(self) -> list[_T]:
        """Do all of them, whatever one of them raises; return what came of each."""
        started = [self._start(work) for work in self._works]
        for _, done in started:
            done.wait()
        return [job.result() for job, _ in started]

    def hurry(self) -> None:
        """Hurry all of them, those that have not begun as well."""
        for work in self._works:
            work.hurry()

    def _start(self, work: Work[_T]) -> tuple[Job[_T], threading.Event]:
        """Start one as soon as there is room; here, where the system has no thread left."""
        self._slots.acquire()
        done = threading.Event()
        job = Job(work, _both(self._slots.release, done.set))
        if not job.start():
            job.run_here()
            self._slots.release()
            done.set()
        return job, done


def _both(first: Callable[[], object], second: Callable[[], object]) -> Callable[[], None]:
    """Return what does two things."""

    def both() -> None:
        first()
        second()

    return both
