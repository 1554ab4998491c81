"""Calls in other threads, and threads that have ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from .times import BOUND

T = TypeVar("T")


@contextmanager
def other_thread() -> Iterator[int]:
    """Have another thread of this process for a while; yield its id in the system."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        yield thread.native_id
    finally:
        stop.set()
        thread.join()


def in_thread(call: Callable[[], T]) -> Callable[[], T]:
    """Begin a call in another thread; return what waits for its result."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()

    def result() -> T:
        thread.join(BOUND)
        assert results, "it did not return"
        return results[0]

    return result


def running_threads() -> set[threading.Thread]:
    """Return the threads of this process; a dummy is of no known thread."""
    running = threading.enumerate()
    return {thread for thread in running if not isinstance(thread, threading._DummyThread)}


def wait_for_new_threads(before: set[threading.Thread], besides: str | None = None) -> None:
    """Wait for the end of the threads that have started since, but for those of one name."""
    for thread in running_threads() - before:
        if thread.name != besides:
            thread.join(BOUND)
            assert not thread.is_alive(), f"{thread.name} did not end"
