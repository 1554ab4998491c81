"""The names that are nearest to a wrong one. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def unknown(key: str, known: Iterable[str]) -> str:
    """Say that nothing has this name, with the nearest names."""
    names = list(known)
    near = nearest(key, names)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(names)}"
    return f"{key!r} is unknown; {hint}"


def nearest(key: str, known: Iterable[str]) -> list[str]:
    """Return at most two of the names, the nearest first."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    return difflib.get_close_matches(key, list(known), n=2, cutoff=0.5)
