"""Calls that fail for a while: no descriptor or no memory is left."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
PATIENCE = 5.0  # seconds, as long as the default ``settle``
PAUSE = 0.02  # seconds between two tries

_T = TypeVar("_T")


def retry(act: Callable[[], _T], seconds: float | None = None) -> _T:
    """Act, and again for so many seconds: other threads and programs give theirs back.

    Args:
        act: what to call.
        seconds: default :data:`PATIENCE`.

    Raises:
        OSError: what the last try raised; at once where something else is wrong.
    """
    until = time.monotonic() + (PATIENCE if seconds is None else seconds)
    while True:
        try:
            return act()
        except OSError as error:
            if error.errno not in SCARCE or time.monotonic() >= until:
                raise
        time.sleep(PAUSE)
