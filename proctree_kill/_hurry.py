"""Kills that can be hurried before they begin, and works that are done together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from . import _owners
from ._kill import Killing
from ._models import KillResult
from ._owners import CallSoon
from ._policy import KillPolicy
from ._target import Claim, Target, aim
from ._uninterrupted import Job, Work

_T = TypeVar("_T")


class Hurry:
    """What is to be hurried: the kill that is under way, and any that begins later."""

    def __init__(self) -> None:
        """Begin without any haste."""
        self.wanted = threading.Event()
        self._changing = threading.Lock()
        self._killing: Killing | None = None

    def __call__(self) -> None:
        """Let the force begin, now or as soon as there is somebody to end; from any thread."""
        with self._changing:
            self.wanted.set()
            killing = self._killing
        if killing is not None:
            killing.hurry()

    def kill(self, target: Target, policy: KillPolicy) -> KillResult:
        """End a tree.

        Raises:
            TargetRefusedError: it must not be ended.
        """
        killing = Killing(aim(target), policy)
        with self._changing:
            self._killing = killing
            wanted = self.wanted.is_set()
        if wanted:
            killing.hurry()
        return _owners.with_codes(killing.run(), killing.claims)


class Errand:
    """The rest of a work that has no owners to be awaited."""

    claims: Sequence[Claim] = ()
    deadline = 0.0
    call_soon: CallSoon | None = None


class Crowd(Errand, Generic[_T]):
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
        try:
            job.start()
        except RuntimeError:
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
