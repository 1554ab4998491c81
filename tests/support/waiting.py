"""Waiting for what processes write, and for the end of it."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Collection
from typing import Any

from .times import BOUND

# Neither takes a descriptor of its own: there may be none left. select(2) alone is on Windows.
Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def read_until(
    enough: Callable[[], bool],
    sources: Callable[[], Collection[Any]],
    read: Callable[[Any], object],
    within: float = BOUND,
) -> bool:
    """Read each source that is ready until it is enough; return whether it was in time.

    Args:
        enough: asked before each wait.
        sources: lists the descriptors or sockets to wait for.
        read: reads from a source without blocking.
        within: seconds; 0 reads what is there.
    """
    deadline = time.monotonic() + within
    while not enough():
        with Selector() as selector:
            for source in sources():
                selector.register(source, selectors.EVENT_READ)
            ready = selector.select(max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        for key, _ in ready:
            read(key.fileobj)
    return True
