"""The exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes; those from 123 on are of ``run``, and 124 of ``wait`` too.

    From 124 on they are as in timeout(1).
    128 + N means that signal N came, or for ``run`` that it ended the command.
    Any other code of ``run`` is the command's own.
    """

    GONE = 0
    ALIVE = 1
    USAGE = 2
    REFUSED = 3
    NO_SESSION = 4
    INPUT_ENDED = 123
    TIMEOUT = 124
    FAILED = 125
    NOT_EXECUTABLE = 126
    NOT_FOUND = 127
