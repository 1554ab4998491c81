"""Tables and sentences as text that fits a width. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby, zip_longest
from typing import NamedTuple

GAP = "  "
TIMES, ASCII_TIMES = "\N{MULTIPLICATION SIGN}", "x"
"""What stands before the number of alike rows."""
NARROWEST = 12
"""Characters; a column of text is not wrapped to fewer."""
FEW = 3
"""Rows; so many that are alike are shown one by one."""
_BYTE_BASE = 0xDC00  # plus a byte that is no UTF-8: its surrogate (PEP 383)
_IN_ASCII = str.maketrans({"├": "|", "│": "|", "└": "`", "─": "-", TIMES: "x", "…": "..."})
_OF_ONE = frozenset(("PID", "AFTER"))  # heads of columns that never agree
_RIGHT = frozenset(("ORDER", "PID", "EXIT", "AFTER", "AGE"))  # heads of columns of numbers


class Row(NamedTuple):
    """One line of a table, and its style of rich."""

    cells: tuple[str, ...]
    style: str = ""


class Table(NamedTuple):
    """Heads and rows.

    Args:
        heads: the heads of the columns.
        rows: the cells below them.
        text: the head of the column that is wrapped where the table is too wide.
        optional: the heads of columns that may be left out before that, the first first.
        one_line: whether the text is shortened to one line instead.
        times: the sign before the number of rows that are shown as one, since they differ in
            PID and AFTER only; it stands behind the NAME. None shows each.
    """

    heads: tuple[str, ...]
    rows: list[Row]
    text: str = ""
    optional: tuple[str, ...] = ()
    one_line: bool = False
    times: str | None = None

    def compact(self) -> Table:
        """Leave out the empty columns."""
        return self._with([head for head in self.heads if any(self._column(head)[1:])])

    def in_ascii(self) -> Table:
        """Use ASCII only."""
        rows = [Row(tuple(map(in_ascii, row.cells)), row.style) for row in self.rows]
        return self._replace(rows=rows, times=self.times and ASCII_TIMES)

    def lines(self, width: int | None = None) -> Iterator[tuple[str, str]]:
        """Yield the lines, each with its style; numbers stand to the right.

        Args:
            width: the characters of a line; a longer word is not cut. None is no limit.
        """
        return self._fitted(width)._folded()._lines(width)  # noqa: SLF001 - each is a table

    def _folded(self) -> Table:
        """Show neighbours that differ in PID and AFTER only as one row, if there are many."""
        if self.times is None or not {"PID", "NAME"}.issubset(self.heads):
            return self
        pid, name = map(self.heads.index, ("PID", "NAME"))
        own = [index for index, head in enumerate(self.heads) if head in _OF_ONE]
        rows: list[Row] = []
        for _, group in groupby(self.rows, lambda row: _without(row.cells, own)):
            alike = list(group)
            if len(alike) <= FEW:
                rows += alike
                continue
            cells = list(alike[-1].cells)  # the time of the last
            cells[pid] = ""
            cells[name] = f"{cells[name]} {self.times}{len(alike):,}"
            rows.append(Row(tuple(cells), alike[0].style))
        return self._replace(rows=rows)

    def _lines(self, width: int | None) -> Iterator[tuple[str, str]]:
        sizes = [max(map(len, self._column(head))) for head in self.heads]
        rest = 0 if width is None else max(width - self._width_without(self.text), NARROWEST)
        if rest and self.text in self.heads:
            index = self.heads.index(self.text)
            sizes[index] = min(sizes[index], rest)
        for row in (Row(self.heads, "bold"), *self.rows):
            columns = [
                self._wrapped(head, cell, rest) if rest else [cell]
                for head, cell in zip(self.heads, row.cells, strict=True)
            ]
            for cells in zip_longest(*columns, fillvalue=""):
                yield _line(self.heads, cells, sizes), row.style

    def _fitted(self, width: int | None) -> Table:
        """Leave out optional columns until the rest fits."""
        table = self
        for head in self.optional:
            if width is None or table._width_without("") <= width:
                break
            table = table._with([kept for kept in table.heads if kept != head])
        return table

    def _with(self, heads: Iterable[str]) -> Table:
        indices = [self.heads.index(head) for head in heads]
        rows = [Row(tuple(row.cells[index] for index in indices), row.style) for row in self.rows]
        return self._replace(heads=tuple(self.heads[index] for index in indices), rows=rows)

    def _column(self, head: str) -> list[str]:
        index = self.heads.index(head)
        return [head, *(row.cells[index] for row in self.rows)]

    def _width_without(self, left_out: str) -> int:
        """Return the width of all columns but one, with the gaps between all."""
        sizes = [max(map(len, self._column(head))) for head in self.heads if head != left_out]
        return sum(sizes) + len(GAP) * (len(self.heads) - 1)

    def _wrapped(self, head: str, cell: str, width: int) -> list[str]:
        if head != self.text or len(cell) <= width:
            return [cell]
        if self.one_line:
            return [textwrap.shorten(cell, width, placeholder=" …")]
        return textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False)


def wrapped(text: str, width: int | None, first: str = "", further: str = "") -> str:
    """Return a sentence in lines of this width; None is no limit.

    Args:
        text: the sentence.
        width: the characters of a line.
        first: what stands before it in the first line.
        further: what stands before it in the others.
    """
    if width is None or len(first) + len(text) <= width:
        return first + text
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _without(cells: tuple[str, ...], left_out: list[int]) -> list[str]:
    return [cell for index, cell in enumerate(cells) if index not in left_out]


def _line(heads: Iterable[str], cells: Iterable[str], sizes: Iterable[int]) -> str:
    parts = [
        cell.rjust(size) if head in _RIGHT else cell.ljust(size)
        for head, cell, size in zip(heads, cells, sizes, strict=True)
    ]
    return GAP.join(parts).rstrip()


def printable(text: str) -> str:
    """Escape the characters that move the cursor, colour the terminal, or have no encoding."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    byte = ord(char) - _BYTE_BASE
    return f"\\x{byte:02x}" if byte in range(256) else ascii(char)[1:-1]


def in_ascii(text: str) -> str:
    """Draw lines and signs in ASCII, and escape what else an old code page lacks."""
    return text.translate(_IN_ASCII).encode("ascii", "backslashreplace").decode()


def is_encodable(text: str, stream: object) -> bool:
    """Whether a stream can write a text."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
