"""The output of the command line: plain text, in colours on a terminal where rich is installed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, TextIO

from .._engine.process import details
from .._models.result import Fate, KillEvent, KillResult, closing_line, outcome_table
from .._models.text import ASCII_TIMES, TIMES, Table
from .._models.tree import ASCII, LINES, Glyphs, TreeMember, TreeSnapshot
from .._systems.contract import Details
from . import tables

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

PROGRAM = "proctree-kill"


class Screen:
    """Standard output and standard error.

    A reader that closes its end is no error, and stops nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        """Inspect the streams. ``quiet`` leaves JSON and what goes to standard error."""
        self._quiet = quiet
        self._terminal = _is_terminal(sys.stdout)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")

    def info(self, text: str) -> None:
        """Write a line to standard output."""
        if not self._quiet:
            _write(sys.stdout, text)

    def note(self, text: str) -> None:
        """Write a line about the progress to standard error."""
        _write(sys.stderr, text)

    def error(self, text: str) -> None:
        """Write a line about a problem to standard error."""
        _write(sys.stderr, f"{PROGRAM}: {text}")

    def json(self, value: object) -> None:
        """Write JSON to standard output, in ASCII: every encoding has it, for surrogates too."""
        _write(sys.stdout, json.dumps(value, indent=2))

    def table(self, table: Table) -> None:
        """Write a table to standard output."""
        if self._quiet:
            return
        lines = table.lines(shutil.get_terminal_size().columns if self._terminal else None)
        console = _console(stderr=False) if self._terminal else None
        if console is None:
            _write(sys.stdout, "\n".join(line for line, _ in lines))
            return
        for line, style in lines:
            console.print(_styled(line, style), soft_wrap=True)

    def result(self, result: KillResult, *, fold: bool = True) -> None:
        """Write what became of each process, alike ones in one row if ``fold``, and a summary."""
        if any(outcome.fate != Fate.ALREADY_GONE for outcome in result.outcomes):
            self.table(outcome_table(result, _times() if fold else None))
        self.info(closing_line(result))

    def ended(self, result: KillResult) -> None:
        """Say on a terminal which processes a command had left, and were ended."""
        if _is_terminal(sys.stderr) and (text := tables.ended_line(result)):
            self.error(text)

    def tree(self, snapshot: TreeSnapshot, notes: Mapping[int, str] | None = None) -> None:
        """Draw a tree, each process with its command line or with the note for its pid."""
        if notes is None:
            shown = {member.identity.pid: details(member.identity) for member in snapshot.members}
        else:
            shown = {pid: Details(command=note) for pid, note in notes.items()}
        head = "COMMAND" if notes is None else "WHAT IT IS"
        self.table(tables.tree_table(snapshot, shown, head, _glyphs()))

    def processes(self, members: Collection[TreeMember]) -> None:
        """List processes, each with its command line."""
        shown = {member.identity.pid: details(member.identity) for member in members}
        self.table(tables.process_table(members, shown))

    @contextlib.contextmanager
    def progress(self, *, hidden: bool = False) -> Iterator[Callable[[str], None]]:
        """Show a line that changes, if both outputs are a terminal and rich is installed."""
        shown = self._terminal and _is_terminal(sys.stderr) and not (self._quiet or hidden)
        console = _console(stderr=True) if shown else None
        if console is None:
            yield lambda _: None
            return
        with console.status("") as status:
            yield lambda text: status.update(_styled(text))

    @contextlib.contextmanager
    def events(self, *, verbose: bool = False) -> Iterator[Callable[[KillEvent], None]]:
        """Show the events of a kill: a line for each if verbose, else one that changes."""
        seen: list[KillEvent] = []

        def show(event: KillEvent) -> None:
            seen.append(event)
            write(tables.event_line(event))

        try:
            with self.progress(hidden=verbose) as progress:
                write = self.note if verbose else progress
                yield show
        except KeyboardInterrupt:
            # a kill finishes what it began before it lets the interrupt through
            if not seen:
                self.error("interrupted; nothing was touched")
            elif left := seen[-1].remaining:
                self.error(f"interrupted; forced, {left} still alive")
            else:
                self.error("interrupted; forced, no process is left")
            raise


def _write(stream: TextIO | None, text: str) -> None:
    """Write a line. A failure ends the output, never the work on the processes."""
    if stream is None:
        return
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        # lead it to the null device, so that the flush at exit fails no more
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            _write(sys.stderr, f"{PROGRAM}: cannot write: {error.strerror}")


def _glyphs() -> Glyphs:
    return LINES if _can_write("".join(LINES)) else ASCII


def _times() -> str:
    return TIMES if _can_write(TIMES) else ASCII_TIMES


def _can_write(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _is_terminal(stream: TextIO | None) -> bool:
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
