"""Signals that wait in a program until it takes them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def blocked(number: int) -> Iterator[None]:
    """Block a signal in what this thread starts; it has the mask from before its first code on.

    So no request comes too early: it would end a program that has not set its handler yet.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
