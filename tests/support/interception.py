"""Code that runs just before system calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def before_each(calls: Iterable[tuple[Any, str]], act: Callable[[int], object]) -> Iterator[None]:
    """Run something before each of these calls, with its index. What it calls does not count.

    Args:
        calls: the functions, as module and name.
        act: is given the index of the call.
    """
    count, busy = 0, False

    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: object, **options: object) -> object:
            nonlocal count, busy
            if not busy:
                busy = True
                act(count)
                count += 1
                busy = False
            return call(*args, **options)

        return wrapper

    real = [(module, name, getattr(module, name)) for module, name in calls]
    for module, name, call in real:
        setattr(module, name, wrapped(call))
    try:
        yield
    finally:
        for module, name, call in real:
            setattr(module, name, call)
