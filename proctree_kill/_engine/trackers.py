"""Resource trackers of Python: helpers that must die last. Pure.

A tracker ignores SIGINT and SIGTERM. It ends by itself when the last process that can write to
its pipe is dead, and then removes what those left: shared memory, semaphores, temporary files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

IGNORED = ("SIGINT", "SIGTERM")
"""The signals that a tracker ignores; any other ends it before it has removed anything."""
INTERPRETERS = ("python", "pypy")
"""How the name of an interpreter begins."""
PYTHON = r"[^\0]+(?:\0-X\0[^\0]+|\0-[^-Xcm\0][^\0]*)*"
"""An interpreter and its flags (subprocess._args_from_interpreter_flags), joined by zeros."""
_TRACKER = re.compile(
    PYTHON + r"\0-c\0from (?:"
    r"multiprocess(?:ing)?\.resource_tracker"  # ensure_running of CPython 3.8 and later, and dill's
    r"|billiard\.semaphore_tracker"  # ensure_running there; celery
    r"|(?:\w+\.)*loky\.backend\.resource_tracker"  # ensure_running or _launch there; also joblib's
    r") import main; ?main\([0-9]+(?:, (?:True|False|[0-9]+))?\)"
)
"""The numbers are a descriptor and how much loky's tracker logs."""


def may_be_tracker(name: str | None) -> bool:
    """Whether a process has the name of an interpreter, so that its arguments are read."""
    return name is not None and name.lower().startswith(INTERPRETERS)


def is_tracker(arguments: Sequence[str]) -> bool:
    """Whether these are the arguments of a tracker: interpreter, flags, ``-c`` and program."""
    return _TRACKER.fullmatch("\0".join(arguments)) is not None
