"""Calls that fail for a while: no descriptor or no memory is left."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
PAUSE = 0.02  # seconds between two tries

_T = TypeVar("_T")


def retry(act: Callable[[], _T], seconds: float) -> _T:
    """Act, and again for so many seconds: other threads and programs give theirs back.

    Raises:
        OSError: what the last try raised; at once where something else is wrong.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return act()
        except OSError as error:
            if error.errno not in SCARCE or time.monotonic() >= until:
                raise
        time.sleep(PAUSE)
