"""Tables and sentences as text that fits a width. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby, zip_longest
from typing import Literal, NamedTuple
from unicodedata import combining, east_asian_width

GAP = "  "
TIMES = "\N{MULTIPLICATION SIGN}"
"""What stands before the number of alike rows."""
READABLE = 20
"""Characters; less is little room for text."""
FEW = 3
"""Rows; so many that are alike are shown one by one."""
_LEAST_TEXT = 8  # characters, beside a drawing
_INDENT = "    "  # of text below its row
_BYTE_BASE = 0xDC00  # plus a byte that is no UTF-8: its surrogate (PEP 383)
_IN_ASCII = str.maketrans({"├": "|", "│": "|", "└": "`", "─": "-", TIMES: "x", "…": "~"})
_OF_ONE = frozenset(("PID", "AFTER", "SESSION", "AGE"))  # heads of columns that never agree
_RIGHT = frozenset(("ORDER", "PID", "EXIT", "AFTER", "AGE"))  # heads of columns of numbers


class Row(NamedTuple):
    """One line of a table, its style of rich, and whether it may share a line with alike ones."""

    cells: tuple[str, ...]
    style: str = ""
    folds: bool = True


class Table(NamedTuple):
    """Heads and rows.

    Args:
        heads: the heads of the columns.
        rows: the cells below them.
        text: the head of the column that is wrapped where the table is too wide.
        optional: the heads of columns that may be left out before that, the first first.
        narrow: where there is little room for it, it stands ``below`` its row, is wrapped in its
            column all the same (``wrap``), or is shortened to a line always (``cut``).
        counted: the head of the column behind which stands how many rows are shown as one, since
            they differ in columns only that never agree, as PID.
        drawn: the head of a column whose cells lose their beginnings where the rest does not fit.
    """

    heads: tuple[str, ...]
    rows: list[Row]
    text: str = ""
    optional: tuple[str, ...] = ()
    narrow: Literal["below", "wrap", "cut"] = "below"
    counted: str = "NAME"
    drawn: str = ""

    def compact(self) -> Table:
        """Leave out the empty columns."""
        return self._with([head for head in self.heads if any(self._column(head)[1:])])

    def lines(
        self, width: int | None = None, *, ascii_only: bool = False, fold: bool = True
    ) -> Iterator[tuple[str, str]]:
        """Yield the lines, each with its style; numbers stand to the right.

        Args:
            width: the characters of a line; a longer word is not cut. None is no limit.
            ascii_only: whether to use ASCII only.
            fold: whether many alike rows are shown as one.
        """
        if not self.rows:
            return
        table = self
        if ascii_only:  # before the widths are measured
            rows = [row._replace(cells=tuple(map(in_ascii, row.cells))) for row in self.rows]
            table = self._replace(rows=rows)
        if fold:
            table = table._fitted(width)._folded()  # noqa: SLF001 - each is a table
        for line, style in table._fitted(width)._clipped(width)._lines(width):  # noqa: SLF001 - as above
            yield in_ascii(line) if ascii_only else line, style

    def _folded(self) -> Table:
        """Show neighbours that differ in what never agrees only as one row, if there are many."""
        if self.counted not in self.heads:
            return self
        own = [index for index, head in enumerate(self.heads) if head in _OF_ONE]
        rows: list[Row] = []
        for _, group in groupby(self.rows, lambda row: (row.folds, _without(row.cells, own))):
            alike = list(group)
            many = alike[0].folds and len(alike) > FEW
            rows += [self._shared(alike, own)] if many else alike
        return self._replace(rows=rows)

    def _shared(self, alike: list[Row], own: list[int]) -> Row:
        """Return one row for these; its time is that of the last."""
        first, last = alike[0].cells, alike[-1].cells
        cells = list(last)
        for index in own:
            cells[index] = last[index] if self.heads[index] == "AFTER" else ""
        counted = self.heads.index(self.counted)
        names = dict.fromkeys((first[counted], last[counted]))
        cells[counted] = f"{' to '.join(names)} {TIMES}{len(alike):,}"
        return Row(tuple(cells), alike[0].style)

    def _lines(self, width: int | None) -> Iterator[tuple[str, str]]:
        rest = self._rest(width)
        below = rest is not None and rest < READABLE and self.narrow == "below"
        table = self._with([head for head in self.heads if head != self.text]) if below else self
        sizes = [max(map(columns_of, table._column(head))) for head in table.heads]  # noqa: SLF001 - a table
        if rest is not None and not below:
            sizes[self.heads.index(self.text)] = rest
        rows = (Row(self.heads, "bold"), *self.rows)
        for row, shown in zip(rows, (Row(table.heads, "bold"), *table.rows), strict=True):
            columns = [
                [cell] if rest is None or head != self.text else self._wrapped(cell, rest)
                for head, cell in zip(table.heads, shown.cells, strict=True)
            ]
            for cells in zip_longest(*columns, fillvalue=""):
                yield _line(table.heads, cells, sizes), row.style
            if below and width is not None and row is not rows[0]:
                text = row.cells[self.heads.index(self.text)]
                for line in wrapped(text, width - len(_INDENT)).splitlines():
                    yield _INDENT + line, row.style

    def _rest(self, width: int | None) -> int | None:
        """Return the characters that are left for the text; None if all of it fits."""
        if width is None or self.text not in self.heads or self._width_without("") <= width:
            return None
        return max(width - self._width_without(self.text), 1)

    def _fitted(self, width: int | None) -> Table:
        """Leave out optional columns until the rest fits, or the text can be read."""
        table = self
        for head in self.optional:
            rest = table._rest(width)
            fits = width is None or table._width_without("") <= width
            if fits or (rest is not None and rest > READABLE):
                break
            table = table._with([kept for kept in table.heads if kept != head])
        return table

    def _clipped(self, width: int | None) -> Table:
        """Leave out the beginnings of a drawing that is too deep for the width."""
        if width is None or self.drawn not in self.heads:
            return self
        index = self.heads.index(self.drawn)
        others = self._width_without(self.text) - max(map(columns_of, self._column(self.drawn)))
        room = max(width - others - _LEAST_TEXT, READABLE)
        rows = []
        for row in self.rows:
            cells = list(row.cells)
            if len(cells[index]) > room:
                cells[index] = f"…{cells[index][1 - room :]}"
            rows.append(row._replace(cells=tuple(cells)))
        return self._replace(rows=rows)

    def _with(self, heads: Iterable[str]) -> Table:
        indices = [self.heads.index(head) for head in heads]
        rows = [
            row._replace(cells=tuple(row.cells[index] for index in indices)) for row in self.rows
        ]
        return self._replace(heads=tuple(self.heads[index] for index in indices), rows=rows)

    def _column(self, head: str) -> list[str]:
        index = self.heads.index(head)
        return [head, *(row.cells[index] for row in self.rows)]

    def _width_without(self, left_out: str) -> int:
        """Return the width of all columns but one, with the gaps between all."""
        sizes = [
            max(map(columns_of, self._column(head))) for head in self.heads if head != left_out
        ]
        return sum(sizes) + len(GAP) * (len(self.heads) - 1)

    def _wrapped(self, cell: str, width: int) -> list[str]:
        if len(cell) <= width:
            return [cell]
        if self.narrow != "cut":
            return wrapped(cell, width).splitlines()
        words = textwrap.shorten(cell, width, placeholder=" …") if width > 1 else ""
        return [words if len(words) > 1 else f"{cell[: width - 1]}…"]


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
    parts = []
    for head, cell, size in zip(heads, cells, sizes, strict=True):
        space = " " * (size - columns_of(cell))
        parts.append(space + cell if head in _RIGHT else cell + space)
    return GAP.join(parts).rstrip()


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: East Asian characters take two."""
    if text.isascii():
        return len(text)
    wide = sum(east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(map(bool, map(combining, text)))


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


def can_write(stream: object, text: str) -> bool:
    """Whether the encoding of a stream has all characters of a text."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
