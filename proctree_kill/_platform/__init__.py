"""The systems, and the only place that asks which one this is.

What may be assumed of each is said in :mod:`._system`:
members are bound to processes, answers are values, waiting ends at a time.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._system import System

WAIT_SLICE = 0.1 if sys.platform == "win32" else None
"""Seconds after which a wait of the main thread has to look up, so that Ctrl-C is heard.

On Windows a lock is not interrupted (cpython#80116); elsewhere it is, at once: None.
"""


def current() -> System:
    """Return a new view of this system, for one kill."""
    if sys.platform == "linux":
        from ._linux import LinuxSystem  # noqa: PLC0415 - the others' modules do not load here

        return LinuxSystem()
    if sys.platform == "win32":
        from ._windows import WindowsSystem  # noqa: PLC0415 - as above

        return WindowsSystem()
    from ._posix import PosixSystem  # noqa: PLC0415 - as above

    return PosixSystem()
