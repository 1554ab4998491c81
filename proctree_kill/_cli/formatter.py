"""The layout of help: it fits the width, and no word is cut."""

from __future__ import annotations

import argparse
import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

WIDEST, NARROW = 100, 60  # characters; longer lines are hard to read
_WHOLE = re.compile(r"\[-\w \| -\w\]|--?[a-z-]+ [A-Z{]\S*|\S+ \.\.\.")
"""What is not wrapped in a usage line: two short options, an option and its value, several."""
_TEXT, _HANGING = " " * 4, " " * 8


class Formatter(argparse.HelpFormatter):
    """Fills paragraphs, and puts the parts of an indented line below each other where needed."""

    def __init__(self, prog: str, **options: Any) -> None:
        """Take the width of the terminal, or COLUMNS."""
        width = min(shutil.get_terminal_size().columns, WIDEST) - 2
        column = 24 if width > NARROW else 10
        super().__init__(prog, **{"width": width, "max_help_position": column, **options})

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks = groupby(text.splitlines(), lambda line: (not line, line.startswith(" ")))
        filled: list[str] = []
        for (_, is_list), lines in blocks:
            block = list(lines)
            filled += _list(block, width) if is_list else _wrap(" ".join(block), width) or block
        return "\n".join(indent + line for line in filled)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return _wrap(" ".join(text.split()), width)

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        if action.nargs == argparse.REMAINDER:
            return f"[--] {action.metavar} ..."
        return super()._format_args(action, default_metavar)

    def _format_usage(self, *arguments: Any) -> str:
        width, self._width = self._width, 10_000  # one line, whose options we keep whole
        try:
            usage = super()._format_usage(*arguments).strip()
        finally:
            self._width = width
        start = f"usage: {self._prog} "
        indent = len(start) if len(start) < width / 3 else 2
        words = _WHOLE.sub(lambda part: part[0].replace(" ", "\0"), usage)
        return "\n".join(_wrap(words, width, " " * indent)).replace("\0", " ") + "\n\n"


def _list(lines: list[str], width: int) -> Iterable[str]:
    """Return the items of a list, as ``  term   explanation``."""
    if max(map(len, lines)) <= width:
        return lines
    items: list[list[str]] = []
    for line in lines:
        if line.startswith("   "):  # goes on
            items[-1][1] = f"{items[-1][1]} {line.strip()}".strip()
        else:
            term, _, text = line.strip().partition("  ")
            items.append([term, text.strip()])
    column = max((len(term) for term, text in items if text), default=0) + 4
    fits = any(text for _, text in items) and column < width / 4
    return _columns(items, width, column) if fits else _below(items, width)


def _columns(items: list[list[str]], width: int, column: int) -> Iterator[str]:
    for term, text in items:
        yield from _wrap(f"  {term}".ljust(column) + text, width, " " * column)


def _below(items: list[list[str]], width: int) -> Iterator[str]:
    for term, text in items:
        yield from _wrap(f"  {term}", width, _HANGING)
        yield from _wrap(f"{_TEXT}{text}", width, _TEXT)


def _wrap(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
