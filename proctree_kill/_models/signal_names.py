"""The names of the signals that ask a process. Pure."""

from __future__ import annotations

from .suggestion import unknown

SIGNALS = [
    f"SIG{name}"
    for name in (
        *("TERM", "INT", "HUP", "QUIT", "BREAK", "USR1", "USR2", "ALRM"),
        *("ABRT", "PIPE", "WINCH", "PWR", "INFO", "XCPU"),
    )
]
"""Not every system has all of them."""


def signal_name(text: str) -> str:
    """Return the full name of a signal that asks, as ``SIGINT`` for ``int``.

    Raises:
        ValueError: it is no such signal; the nearest names are in the text.
    """
    name = text.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name in ("SIGKILL", "SIGSTOP"):
        message = f"{name} asks nothing; force follows by itself"
        raise ValueError(message)
    if name not in SIGNALS:
        raise ValueError(unknown(name, SIGNALS))
    return name
