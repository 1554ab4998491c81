"""Questions on a terminal."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from .._engine.process import details
from .._models.tree import TreeMember
from .tables import process_cells

MARGIN = 6
"""Columns that the picker puts before each choice, and keeps free after it."""


def can_ask() -> bool:
    """Whether a person can read a list and answer."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def is_dumb() -> bool:
    """Whether the terminal cannot move its cursor, as a picker must."""
    return os.environ.get("TERM") == "dumb"


def confirm(question: str) -> bool:
    """Ask for a yes; anything else is a no, the end of the input too.

    Raises:
        KeyboardInterrupt: Ctrl-C was typed.
    """
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt) as end:
        print()  # noqa: T201 - the answer has no end of line
        if isinstance(end, EOFError):
            return False
        raise


def pick(question: str, members: Sequence[TreeMember]) -> list[TreeMember] | None:
    """Let some processes be picked; return None where questionary or the terminal cannot.

    Raises:
        KeyboardInterrupt: Ctrl-C was typed.
    """
    if is_dumb():
        return None
    try:
        import questionary  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        return None
    width = max(shutil.get_terminal_size().columns - MARGIN, MARGIN)
    choices = [
        questionary.Choice("  ".join(filter(None, _cells(member)))[:width], value=member)
        for member in members
    ]
    keys = "(space, then enter)"
    picked: list[TreeMember] = questionary.checkbox(
        question, choices, instruction=keys
    ).unsafe_ask()
    return picked


def _cells(member: TreeMember) -> tuple[str, ...]:
    return process_cells(member, details(member.identity))
