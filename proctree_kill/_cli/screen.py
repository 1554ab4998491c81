"""Where the command line writes: plain text, in colours on a terminal where rich is installed."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TextIO

from .._engine.process import details
from .._models.result import KillEvent, KillResult
from .._models.tree import ASCII, LINES, Glyphs, TreeSnapshot
from .._systems.contract import Details
from . import tables
from .tables import step

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

PROGRAM = "proctree-kill"


class Screen:
    """Standard output and standard error.

    Whoever reads them may leave at any time: that is no error, and stops nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        """Look at where the output goes; ``quiet`` leaves what was asked for and what is wrong."""
        self._quiet = quiet
        self._terminal = _is_terminal(sys.stdout)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")

    @property
    def glyphs(self) -> Glyphs:
        """Return lines that the encoding of the output has."""
        try:
            "".join(LINES).encode(getattr(sys.stdout, "encoding", None) or "ascii")
        except UnicodeEncodeError:
            return ASCII
        return LINES

    def say(self, text: str) -> None:
        """Write a line."""
        if not self._quiet:
            _write(sys.stdout, text)

    def show(self, table: tables.Table) -> None:
        """Write a table."""
        if self._quiet:
            return
        lines = tables.plain(table, shutil.get_terminal_size().columns if self._terminal else None)
        console = _console(stderr=False) if self._terminal else None
        if console is None:
            _write(sys.stdout, "\n".join(lines))
            return
        for line, style in zip(lines, ("bold", *(row.style for row in table.rows)), strict=True):
            console.print(_styled(line, style), soft_wrap=True)

    def report(self, result: KillResult) -> None:
        """Show what became of each process, and of all."""
        if any(one.fate != "already_gone" for one in result.outcomes):
            self.show(tables.outcomes(result))
        self.say(tables.verdict(result))

    def draw(self, snapshot: TreeSnapshot, notes: Mapping[int, str] | None = None) -> None:
        """Show a tree, each process as it is now, or with what is noted of its number."""
        if notes is None:
            looks = {one.identity.pid: details(one.identity) for one in snapshot.members}
        else:
            looks = {pid: Details(command=note) for pid, note in notes.items()}
        head = "COMMAND" if notes is None else "WHAT IT IS"
        self.show(tables.drawing(snapshot, looks, head, self.glyphs))

    def deliver(self, text: str) -> None:
        """Write what was asked for, quiet or not."""
        _write(sys.stdout, text)

    def note(self, text: str) -> None:
        """Write a line about the work on standard error."""
        _write(sys.stderr, text)

    def complain(self, text: str) -> None:
        """Write a line about what is wrong on standard error."""
        _write(sys.stderr, f"{PROGRAM}: {text}")

    @contextlib.contextmanager
    def progress(self, *, hidden: bool = False) -> Iterator[Callable[[str], None]]:
        """Have a line that changes, where both outputs are a terminal with rich."""
        shown = self._terminal and _is_terminal(sys.stderr) and not (self._quiet or hidden)
        console = _console(stderr=True) if shown else None
        if console is None:
            yield lambda _: None
            return
        with console.status("") as status:
            yield lambda text: status.update(_styled(text))


def _write(stream: TextIO | None, text: str) -> None:
    """Write a line, and nothing more once that has failed: what is done to processes goes on."""
    if stream is None:
        return
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        _silence(stream)
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            _write(sys.stderr, f"{PROGRAM}: cannot write: {error.strerror}")


def _silence(stream: TextIO) -> None:
    """Lead a stream to the null device, so that its last flush at the exit is silent as well."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _is_terminal(stream: TextIO | None) -> bool:
    """Tell whether somebody looks at a stream."""
    return stream is not None and stream.isatty()


def _console(*, stderr: bool) -> Console | None:
    """Return rich's console, which respects NO_COLOR; None without rich."""
    try:
        from rich.console import Console  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        return None
    return Console(stderr=stderr, highlight=False)


def _styled(text: str, style: str = "") -> Text:
    """Return text in which rich reads no markup."""
    from rich.text import Text  # noqa: PLC0415 - an extra, and slow to import

    return Text(text, style)


class Watcher:
    """Is told of each event."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Begin before the first event; ``tell`` says what happens."""
        self.tell = tell
        self._last: KillEvent | None = None

    def __call__(self, event: KillEvent) -> None:
        """Take in what has just happened."""
        self._last = event
        self.tell(step(event))

    def interrupted(self) -> str:
        """Say what an interrupt left: the library finishes what it began, then raises it."""
        if self._last is None:
            return "interrupted; nothing was touched"
        left = self._last.remaining
        return f"interrupted; forced, {f'{left} still alive' if left else 'nobody is left'}"


@contextlib.contextmanager
def watching(screen: Screen, *, verbose: bool = False) -> Iterator[Watcher]:
    """Show what happens, in lines that stay or in one that changes."""
    watcher = Watcher(screen.note)
    try:
        with screen.progress(hidden=verbose) as progress:
            watcher.tell = screen.note if verbose else progress
            yield watcher
    except KeyboardInterrupt:
        screen.complain(watcher.interrupted())
        raise
