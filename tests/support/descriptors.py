"""A process that has hardly a descriptor left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def few_descriptors(free: int) -> Iterator[None]:
    """Take all descriptors up to the limit but so many."""
    taken: list[int] = []
    with suppress(OSError):
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    for _ in range(free):
        os.close(taken.pop())
    try:
        yield
    finally:
        for fd in taken:
            os.close(fd)
