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


def wait_for_threads(names: set[str]) -> None:
    """Wait until the only threads of this process are these; dummies are of no known thread."""
    known = [
        thread for thread in threading.enumerate() if not isinstance(thread, threading._DummyThread)
    ]
    for thread in known:
        if thread.name not in names:
            thread.join(BOUND)
    assert {thread.name for thread in known if thread.is_alive()} <= names
