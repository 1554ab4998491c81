"""What a result shows in a terminal, in a notebook and in a debugger. Pure."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from .text import Table, can_write, in_ascii, wrapped

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

_PAGE = 110  # characters that are seen of a line in a notebook
_CSS = {
    "bold": "font-weight: bold",
    "bold red": "color: #d32f2f; font-weight: bold",
    "cyan": "color: #00838f",
    "dim": "opacity: 0.6",
    "green": "color: #2e7d32",
    "yellow": "color: #a65d00",
}
"""The styles of rich for a page, legible on white and on black."""


class Shown:
    """A result: it has ``ok``, prints as a short table, and is one line in a debugger."""

    @property
    @abstractmethod
    def ok(self) -> bool:
        """Whether nothing is left to do."""

    @abstractmethod
    def summary(self) -> str:
        """Return the result in one line."""

    def _table(self) -> Table:
        """Return what stands above the line about all."""
        return Table((), [])

    def _closing(self) -> str:
        return self.summary()

    def lines(
        self, width: int | None = None, *, ascii_only: bool = False, fold: bool = True
    ) -> Iterator[tuple[str, str]]:
        """Yield the lines of :meth:`render`, each with its style of rich."""
        yield from self._table().lines(width, ascii_only=ascii_only, fold=fold)
        closing = in_ascii(self._closing()) if ascii_only else self._closing()
        yield from ((line, "") for line in wrapped(closing, width).splitlines())

    def render(self, width: int | None = None, *, ascii_only: bool = False) -> str:
        """Return a short table and a line about all, as ``str()`` does.

        Args:
            width: the characters of a line; a longer word is not cut. Default no limit.
            ascii_only: whether to use ASCII only, for old code pages (default False).
        """
        return "\n".join(line for line, _ in self.lines(width, ascii_only=ascii_only))

    def __str__(self) -> str:
        text = self.render()
        # print() must not fail where the code page has no lines, as in pipes on Windows
        return text if can_write(sys.stdout, text) else self.render(ascii_only=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'ok' if self.ok else 'not ok'}: {self.summary()}>"

    def __rich__(self) -> Fitted:
        return Fitted(self)

    def _repr_html_(self) -> str:
        lines = (_in_html(line, _CSS.get(style)) for line, style in self.lines(_PAGE))
        return '<pre style="white-space: pre; overflow-x: auto">{}</pre>'.format("\n".join(lines))


class Fitted(NamedTuple):
    """A result for a console of rich, which says how wide it is."""

    shown: Shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield the lines; rich reads no markup in them."""
        from rich.text import Text  # noqa: PLC0415 - an extra; rich has called this

        for line, style in self.shown.lines(options.max_width, ascii_only=options.ascii_only):
            yield Text(line, style, no_wrap=True, overflow="ignore")


def _in_html(line: str, css: str | None) -> str:
    import html  # noqa: PLC0415 - only a notebook needs it

    text = html.escape(line)
    return text if css is None else f'<span style="{css}">{text}</span>'
