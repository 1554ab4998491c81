"""Works without owners to be awaited, one or many at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from .._engine.owners import CallSoon
from .._engine.target import Claim
from .threads import Job, Work

_T = TypeVar("_T")


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
