"""The output of the command line: text that fits the terminal, in colours there."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TextIO

from .._engine.events import LISTENER
from .._engine.process import details
from .._models.result import KillEvent, KillResult
from .._models.shown import Shown
from .._models.text import Table, can_write, wrapped
from .._models.tree import TreeMember, TreeSnapshot
from .._systems.contract import Details
from . import tables
from .countdown import Countdown
from .live_line import ERASE, TIME, LiveLine
from .streams import has_colours, moves_cursor, styled, width_of

PROGRAM = "proctree-kill"


class Screen:
    """Standard output and standard error.

    A reader that closes its end is no error, and stops nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        """Inspect the streams. ``quiet`` leaves JSON and problems."""
        self._quiet = quiet
        self._is_live = moves_cursor(sys.stderr) and not quiet
        self._lines: list[LiveLine] = []
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")

    def info(self, text: str) -> None:
        """Write lines to standard output."""
        if not self._quiet:
            _write(sys.stdout, _fitted(text, sys.stdout))

    def note(self, text: str, *, start: str = "") -> None:
        """Write a line about the progress to standard error."""
        # a line below the cursor is drawn again
        erase = ERASE if any(line.shown for line in self._lines) else ""
        before = start + erase if self._is_live else ""
        _write(sys.stderr, before + _fitted(text, sys.stderr))

    def error(self, text: str, *, start: str = "") -> None:
        """Write a line about a problem to standard error; ``start`` moves the cursor first."""
        self.note(f"{PROGRAM}: {text}", start=start)

    @property
    def has_terminal(self) -> bool:
        """Whether standard error is a terminal."""
        return width_of(sys.stderr) is not None

    def json(self, value: object) -> None:
        """Write JSON to standard output, in ASCII: every encoding has it, for surrogates too."""
        import json  # noqa: PLC0415 - rarely needed

        _write(sys.stdout, json.dumps(value, indent=2))

    def table(self, table: Table | Shown, *, problem: bool = False, fold: bool = True) -> None:
        """Write a table, or a result with its table.

        Args:
            table: what to write.
            problem: whether it goes to standard error, also if all is quiet.
            fold: whether many alike rows share a row.
        """
        stream = sys.stderr if problem else sys.stdout
        if self._quiet and not problem:
            return
        lines = [*table.lines(width_of(stream), fold=fold)]
        if not all(can_write(stream, line) for line, _ in lines):
            lines = [*table.lines(width_of(stream), ascii_only=True, fold=fold)]
        has_styles = has_colours(stream)
        if lines:
            texts = (styled(line, style if has_styles else "") for line, style in lines)
            _write(stream, "\n".join(texts))

    def ended(self, result: KillResult) -> None:
        """Say on a terminal which processes a command had left, and were ended."""
        if self.has_terminal and (text := tables.ended_line(result)):
            self.error(text)

    def tree(
        self,
        snapshot: TreeSnapshot,
        notes: Mapping[int, str] | None = None,
        *,
        fold: bool = True,
    ) -> None:
        """Draw a tree, each process with its command line or with the note for its pid.

        Alike siblings share a row if ``fold``.
        """
        if notes is None:
            shown = {member.identity.pid: details(member.identity) for member in snapshot.members}
        else:
            shown = {pid: Details(command=note) for pid, note in notes.items()}
        head = tables.COMMAND if notes is None else "WHAT IT IS"
        self.table(tables.tree_table(snapshot, shown, head, fold=fold))

    def processes(self, members: Collection[TreeMember]) -> None:
        """List processes, each with its command line."""
        shown = {member.identity.pid: details(member.identity) for member in members}
        self.table(tables.process_table(members, shown))

    @contextlib.contextmanager
    def grace(
        self,
        seconds: float,
        *,
        verbose: bool = False,
        lines: bool = True,
        pauses: Sequence[float] = (),
    ) -> Iterator[None]:
        """Show how the grace of the kills in the block passes.

        On a terminal a line counts down. Else a line tells its begin, and one its end.

        Args:
            seconds: of the grace.
            verbose: whether each event has a line as well.
            lines: whether an interrupt is told, and begin and end where no line can count down.
            pauses: seconds of the grace at which other processes may write to the terminal.
        """
        countdown = Countdown(seconds, time.monotonic, pauses)
        tells = lines and not (verbose or self._quiet or self._is_live)

        def listen(event: KillEvent) -> None:
            text = countdown.note(event)
            if verbose:
                self.note(tables.event_line(event))
            elif tells and text is not None:
                self.error(text)
            if self._is_live:
                line.start()

        token = LISTENER.set(listen)
        try:
            with self._line(countdown.texts) as line:
                yield
        except KeyboardInterrupt:
            # a kill finishes what it began before it lets the interrupt through
            if lines:
                self.error(countdown.interrupted(), start="\r")  # over the ^C
            raise
        finally:
            LISTENER.reset(token)

    @contextlib.contextmanager
    def waiting(self, texts: Callable[[], Sequence[str]], *, every: float = TIME) -> Iterator[None]:
        """Show on a terminal what is awaited in the block.

        Args:
            texts: returns what to show, the longest form first.
            every: seconds after which it may be another text.
        """
        with self._line(texts, every) as line:
            if self._is_live:
                line.start()
            yield

    @contextlib.contextmanager
    def _line(self, texts: Callable[[], Sequence[str]], every: float = TIME) -> Iterator[LiveLine]:
        with LiveLine(sys.stderr, texts, every) as line:
            self._lines.append(line)
            yield line
        self._lines.remove(line)


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


def _fitted(text: str, stream: TextIO | None) -> str:
    return "\n".join(wrapped(line, width_of(stream)) for line in text.split("\n"))
