"""Running work so that an interrupt hurries it, waits for it, and is raised afterwards."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

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
        """Let it use force now; from any thread."""


class Job(Generic[_T]):
    """A work in a thread of its own; a shared pool would let one hung tree delay another."""

    def __init__(self, work: Work[_T], finished: Callable[[], object]) -> None:
        """Prepare the thread; ``finished`` is called at its end, in it."""
        self._work = work
        self._finished = finished
        self._claim = threading.Lock()
        self.done: list[_T] = []
        self._error: BaseException | None = None
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=lambda: context.run(self._run), name="proctree_kill", daemon=True
        )

    def start(self) -> BaseException | None:
        """Start it; return what interrupted that, if it runs all the same.

        Raises:
            RuntimeError: this interpreter starts no threads any more.
        """
        try:
            self._thread.start()
        except BaseException as error:
            if self._claim.acquire(blocking=False):  # it has not begun, and never will
                raise
            return error
        return None

    def run_here(self) -> None:
        """Do the work in this thread."""
        try:
            self.done.append(self._work.run())
        except BaseException as error:  # noqa: BLE001 - result() raises it in the caller's thread
            self._error = error

    def result(self) -> _T:
        """Return what came of it once it has finished, or raise what it raised."""
        if self.done:
            return self.done[0]
        raise self._error or RuntimeError("it has not finished")

    def _run(self) -> None:
        if self._claim.acquire(blocking=False):
            self.run_here()
            self._finished()


def run(work: Work[_T]) -> _T:
    """Run it to its end, whatever a signal handler raises meanwhile.

    Handlers run in the main thread only: there the work gets a thread of its own.
    """
    if threading.current_thread() is not threading.main_thread():
        return work.run()
    done = threading.Event()
    job = Job(work, done.set)
    try:
        interruption = job.start()
    except RuntimeError:  # the interpreter is at its exit; there Ctrl-C may interrupt
        return work.run()
    while True:
        try:
            if interruption is not None:
                work.hurry()
            while not done.wait(WAIT_SLICE):
                pass
            break
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises, held back
            interruption = interruption or error
    if interruption is not None:
        raise interruption
    return job.result()
