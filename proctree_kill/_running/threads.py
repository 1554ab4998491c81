"""Running work so that an interrupt hurries it, waits for its end, and is raised afterwards.

Python runs signal handlers in the main thread, between any two bytecodes. So the main thread only
waits here. It never holds a lock of this package: a handler that wants the same lock, or waits for
a thread that does, would wait for ever. For that reason a result is not kept in
:class:`concurrent.futures.Future`, which takes a lock wherever it is asked.
"""

from __future__ import annotations

import _thread
import contextlib
import contextvars
import math
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any, Generic, Protocol, TypeVar

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

# A signal that comes between the last check and the sleep does not wake the main thread,
# and on Windows no signal does (cpython#80116).
WAIT_SLICE = 0.1  # seconds
# The module ``signal`` makes an enum of each number, in a sixth of a millisecond.
_SIGNAL: Any = import_module("_signal")
SIGNALS: frozenset[int] = frozenset(_SIGNAL.valid_signals())
START_TIME = 2.0  # seconds; a thread that has not begun by then may have had no memory for it


class Work(Protocol[_T_co]):
    """Work that can be hurried."""

    def run(self) -> _T_co:
        """Do it, in any thread."""

    def hurry(self) -> None:
        """Let it use force now; from any thread, but see :func:`hurry`."""


class Act(Generic[_T]):
    """Work that cannot be hurried."""

    def __init__(self, act: Callable[[], _T]) -> None:
        """Take the function that does it."""
        self.run = act

    def hurry(self) -> None:
        """Do nothing."""


class WorkThread(Generic[_T]):
    """A thread for one work; in a shared pool one hung tree would delay another.

    Attributes:
        cancelled: whether the thread does nothing any more.
        over: whether the work has finished.
    """

    def __init__(
        self,
        work: Work[_T],
        finished: Callable[[], object],
        stay: Callable[[_T], object] | None = None,
    ) -> None:
        """Prepare the thread.

        Args:
            work: what it does.
            finished: called in the thread once the work has finished.
            stay: called in the thread with the result after that, for as long as the thread is
                needed; nothing refers to the work by then.
        """
        self._work = work
        self._finished = finished
        self._stay = stay
        self._claim = threading.Lock()
        self._context = contextvars.copy_context()
        self.cancelled = self.over = False
        self.results: list[_T] = []
        self._error: BaseException | None = None

    def start(self, *, hurry: bool = False) -> bool:
        """Start the thread; do the work here where the system has no thread left.

        An interrupt that is raised here has not started the thread if :meth:`cancel` returns True.

        Args:
            hurry: whether work that is done here is hurried.

        Returns:
            Whether the thread does it, and calls ``finished``.
        """
        try:
            # threading.Thread would hold locks that a signal handler may want, and costs more.
            _thread.start_new_thread(_run, ([self],))
        except RuntimeError:  # no thread is left, or the interpreter exits, or a handler raised it
            return not self.take_over(hurry=hurry)
        return True

    def take_over(self, *, hurry: bool = False) -> bool:
        """Do the work here if the thread has not begun; return whether that was so."""
        if self.over or not self.cancel():
            return False
        if hurry:
            self._work.hurry()
        self._run()
        return True

    def cancel(self) -> bool:
        """Keep the thread from doing anything; return False where it has begun."""
        self.cancelled = self.cancelled or self._claim.acquire(blocking=False)
        return self.cancelled

    def begin(self) -> Callable[[], object] | None:
        """Do the work, unless it was cancelled; return what the thread has to do after it."""
        if not self._claim.acquire(blocking=False):
            return None
        try:
            self._run()
        except MemoryError as error:  # there was none for the call
            self._error, self.over = error, True
        leave_signals_to_others()  # the caller goes on now, and may block some for itself
        self._finished()
        if self._stay is None or not self.results:
            return None
        stay, result = self._stay, self.results[0]
        return lambda: stay(result)

    def _run(self) -> None:
        try:
            self.results.append(self._context.run(self._work.run))
        except BaseException as error:  # noqa: BLE001 - result() raises it in the caller's thread
            self._error = error
        self.over = True

    def result(self) -> _T:
        """Return the result of work that has finished, or raise what it raised."""
        if self._error is None:
            return self.results[0]
        error, self._error = self._error, None
        try:
            raise error
        finally:
            del error  # its traceback holds the work


def _run(box: list[WorkThread[Any]]) -> None:
    if (trace := threading.gettrace()) is not None:  # debuggers and coverage, as threading does
        sys.settrace(trace)
    # The interpreter keeps the arguments of a thread: the box must not hold the work.
    afterwards = box.pop().begin()
    if afterwards is not None:
        afterwards()


def _hurry(work: Work[Any]) -> None:
    leave_signals_to_others()
    work.hurry()


def leave_signals_to_others() -> None:
    """Block all signals of this thread.

    The kernel gives a signal to any thread that does not block it (signal(7)): a main thread that
    waits in sigwait(), or blocks SIGTERM for a critical section, would not be safe from it.
    What the thread starts inherits that, so it must start no process, but for a guard, which
    ignores signals anyway.
    """
    _mask("SIG_BLOCK", SIGNALS)


def blocked_signals() -> set[int]:
    """Return the signals that this thread blocks."""
    return _mask("SIG_BLOCK", ())


@contextlib.contextmanager
def blocking(signals: Iterable[int]) -> Iterator[None]:
    """Block these signals, and no other, inside the block; a thread that starts there inherits it.

    See :func:`leave_signals_to_others`.
    """
    mask = _mask("SIG_SETMASK", signals)
    try:
        yield
    finally:
        _mask("SIG_SETMASK", mask)


def _mask(how: str, signals: Iterable[int]) -> set[int]:
    change = getattr(_SIGNAL, "pthread_sigmask", None)  # POSIX
    return set() if change is None else change(getattr(_SIGNAL, how), signals)


def run(work: Work[_T], *, stay: Callable[[_T], object] | None = None) -> _T:
    """Run work to its end, whatever a signal handler raises meanwhile.

    Handlers run in the main thread only: there the work gets a thread of its own.

    Args:
        work: what is done.
        stay: called by that thread with the result afterwards; it is then used in any case.
    """
    if stay is None and not _is_main():
        return work.run()
    over = threading.Lock()
    over.acquire()
    thread = WorkThread(work, over.release, stay)
    try:
        thread.start()
        _await(thread, over)
    except BaseException:
        if not thread.cancel():
            while not thread.over:
                _hold_back(thread, over, work)
        raise
    return thread.result()


def do(act: Callable[[], _T]) -> _T:
    """Run what takes a lock and cannot be hurried."""
    return run(Act(act))


def hurry(work: Work[Any]) -> None:
    """Hurry work; the locks that this takes are not taken in the main thread."""
    if not _is_main():
        work.hurry()
        return
    try:
        _thread.start_new_thread(_hurry, (work,))
    except RuntimeError:  # the system has no thread left
        work.hurry()


def _is_main() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _await(thread: WorkThread[Any], over: threading.Lock) -> None:
    # An interrupt may come between any two of these steps; then the wait begins again.
    for _ in range(math.ceil(START_TIME / WAIT_SLICE)):
        if thread.over or over.acquire(timeout=WAIT_SLICE):
            break
    else:
        thread.take_over()
    while not thread.over:
        over.acquire(timeout=WAIT_SLICE)


def _hold_back(thread: WorkThread[Any], over: threading.Lock, work: Work[Any]) -> None:
    try:
        hurry(work)
        _await(thread, over)
    except BaseException:  # noqa: BLE001 - the first interrupt is raised when the work is over
        return


class Parallel(Generic[_T]):
    """Works that are done at the same time, each in a thread of its own."""

    def __init__(self, works: Sequence[Work[_T]], at_once: int | None = None) -> None:
        """Take the works, and how many of them run at a time; default all."""
        self._works = works
        self._slots = threading.Semaphore(at_once or max(len(works), 1))

    def run(self) -> list[_T]:
        """Do all works, even if one raises; return their results."""
        started = [self._start(work) for work in self._works]
        for thread, done in started:
            while not (done.wait(START_TIME) or thread.take_over()):
                pass
        return [thread.result() for thread, _ in started]

    def hurry(self) -> None:
        """Hurry all works, those that have not begun as well."""
        for work in self._works:
            work.hurry()

    def _start(self, work: Work[_T]) -> tuple[WorkThread[_T], threading.Event]:
        done = threading.Event()

        def finished() -> None:
            self._slots.release()
            done.set()

        self._slots.acquire()
        thread = WorkThread(work, finished)
        if not thread.start():
            finished()
        return thread, done
