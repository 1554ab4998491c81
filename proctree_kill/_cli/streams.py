"""What an output stream shows: its width, colours, a line that changes."""

from __future__ import annotations

import contextlib
import os
from typing import TextIO

_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}  # SGR
_USUAL = 80  # characters
_OFF = ("", "0")


def width_of(stream: TextIO | None) -> int | None:
    """Return the characters of a line, as COLUMNS or the terminal says; None if it is none."""
    if stream is None or not stream.isatty():
        return None
    with contextlib.suppress(ValueError):
        if (columns := int(os.environ.get("COLUMNS", ""))) > 0:
            return columns
    with contextlib.suppress(OSError, ValueError):  # ValueError: no descriptor
        return os.get_terminal_size(stream.fileno()).columns or _USUAL  # 0: it has no size
    return _USUAL


def has_colours(stream: TextIO | None) -> bool:
    """Whether colours are wanted (no-color.org, force-color.org, bixense.com/clicolors)."""
    get = os.environ.get
    if stream is None or get("NO_COLOR"):
        return False
    if "FORCE_COLOR" in os.environ:
        return get("FORCE_COLOR") not in _OFF
    if get("CLICOLOR_FORCE", "") not in _OFF:
        return True
    return get("CLICOLOR") != "0" and moves_cursor(stream)


def moves_cursor(stream: TextIO | None) -> bool:
    """Whether it is a terminal that understands escape codes."""
    if stream is None or not stream.isatty() or os.environ.get("TERM") == "dumb":
        return False
    from .._systems import reads_escapes  # noqa: PLC0415 - slow to import, for a usage error

    return reads_escapes(stream.fileno())


def styled(text: str, style: str) -> str:
    """Return text in a style, as ``bold red``."""
    if not style:
        return text
    codes = ";".join(str(_CODES[word]) for word in style.split())
    return f"\x1b[{codes}m{text}\x1b[0m"
