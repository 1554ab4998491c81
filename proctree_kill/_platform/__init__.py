"""The systems, and the only place that asks which one this is.

What may be assumed of each is said in :mod:`._system`:
members are bound to processes, answers are values, waiting ends at a time.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._system import System, Terminal


HELPER_TIMEOUT = 5.0
"""Seconds that an external helper may take where nobody says more."""


def current(helper_timeout: float = HELPER_TIMEOUT) -> System:
    """Return a new view of this system, for one kill.

    Args:
        helper_timeout: seconds that an external helper may take; only Windows has any.
    """
    if sys.platform == "linux":
        from ._linux import LinuxSystem  # noqa: PLC0415 - the others' modules do not load here

        return LinuxSystem()
    if sys.platform == "win32":
        from ._windows import WindowsSystem  # noqa: PLC0415 - as above

        return WindowsSystem(helper_timeout)
    from ._posix import PosixSystem  # noqa: PLC0415 - as above

    return PosixSystem()


def terminal() -> Terminal:
    """Return the terminal of this process, to be entered."""
    if sys.platform != "win32":
        from ._tty import Tty  # noqa: PLC0415 - the others' modules do not load here

        return Tty()
    from ._win_terminal import Console  # noqa: PLC0415 - as above

    return Console()
