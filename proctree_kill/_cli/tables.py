"""What the command line says, as tables and sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .._models.result import Fate, KillEvent, KillResult, ProcessOutcome
from .._models.tree import LINES, Glyphs, TreeMember, TreeSnapshot, branches
from .._records.report import RecordFate, RecordOutcome, RecoveryReport
from .._systems.contract import Details

_STYLES = {
    Fate.ALREADY_GONE: "dim",
    Fate.TERMINATED: "green",
    Fate.KILLED: "yellow",
    Fate.DENIED: "bold red",
    Fate.SURVIVED: "bold red",
    Fate.SPARED: "cyan",
}
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
_MARGIN = "  "
_BYTE_BASE = 0xDC00
"""What a byte that is no UTF-8 is added to (PEP 383)."""
NUMBERS = frozenset(("ORDER", "PID", "EXIT", "AFTER", "AGE"))
"""The heads of the columns that hold numbers."""


class Row(NamedTuple):
    """One line of a table, and how it looks where there are colours (a style of rich)."""

    cells: tuple[str, ...]
    style: str = ""


class Table(NamedTuple):
    """Heads and rows, and whether a line may be cut where the terminal ends."""

    heads: tuple[str, ...]
    rows: list[Row]
    may_be_cut: bool = False

    def compact(self) -> Table:
        """Leave out the columns that say nothing."""
        telling = [index for index in range(len(self.heads)) if any(self.column(index)[1:])]
        rows = [Row(tuple(row.cells[one] for one in telling), row.style) for row in self.rows]
        return Table(tuple(self.heads[one] for one in telling), rows, self.may_be_cut)

    def column(self, index: int) -> list[str]:
        """Return the head and the cells of a column."""
        return [self.heads[index], *(row.cells[index] for row in self.rows)]


def plain(table: Table, width: int | None = None) -> Iterator[str]:
    """Yield the lines of a table, numbers to the right."""
    end = width if table.may_be_cut else None
    widths = [max(map(len, table.column(index))) for index in range(len(table.heads))]
    for cells in (table.heads, *(row.cells for row in table.rows)):
        parts = [
            cell.rjust(size) if head in NUMBERS else cell.ljust(size)
            for head, cell, size in zip(table.heads, cells, widths, strict=True)
        ]
        yield _MARGIN.join(parts).rstrip()[:end]


def outcomes(result: KillResult) -> Table:
    """Tell what became of each process, in the order asked."""
    heads = ("PID", "NAME", "FATE", "SIGNALS", "EXIT", "AFTER", "EVIDENCE", "NOTE")
    rows = [Row(tuple(_outcome(one)), _STYLES[one.fate]) for one in result.outcomes]
    return Table(heads, rows).compact()


def drawing(
    snapshot: TreeSnapshot,
    looks: Mapping[int, Details],
    head: str = "COMMAND",
    glyphs: Glyphs = LINES,
) -> Table:
    """Draw a tree, each process with the place in which it would be asked.

    Args:
        snapshot: the tree.
        looks: what each process shows of itself, by pid.
        head: the head of the last column, which holds the command lines.
        glyphs: what the lines are made of.
    """
    mortal = [one for one in snapshot.members if one.spared is None]
    order = {one.identity.pid: str(place) for place, one in enumerate(mortal, 1)}
    rows = []
    for lines, one in branches(snapshot.members, glyphs):
        pid, look = one.identity.pid, looks.get(one.identity.pid, Details())
        cells = (
            order.get(pid, "-"),
            f"{lines}{printable(one.name or '?')} {pid}",
            _standing(one),
            printable(look.user or ""),
            age(look.seconds),
            printable(look.command or ""),
        )
        rows.append(Row(cells, "" if one.spared is None else _STYLES[Fate.SPARED]))
    heads = ("ORDER", "PROCESS", "EVIDENCE", "USER", "AGE", head)
    return Table(heads, rows, may_be_cut=True).compact()


def verdict(result: KillResult) -> str:
    """Say the result in one line; also that nothing was left to do."""
    fates = {one.fate for one in result.outcomes}
    if fates == {Fate.ALREADY_GONE}:
        return f"nothing to do: {_listed(result.outcomes)} gone already"
    if fates <= {Fate.ALREADY_GONE, Fate.SPARED}:
        return "nothing to do: nobody is there whom to end"
    if not result.verified:
        return result.summary()
    return f"{result.summary()}; a last look for {_and(result.verified)} found nobody"


def step(event: KillEvent) -> str:
    """Say what has just happened."""
    who = event.identity
    happened = {
        "asked": "everybody is asked",
        "escalated": "force",
        "found": f"{who} is found",
        "gone": f"{who} is gone",
        "settled": "settled",
    }[event.kind]
    return f"{event.seconds:7.3f} s  {happened}, {event.remaining} left"


def printable(text: str) -> str:
    """Escape what would move the cursor, colour the terminal, or has no encoding."""
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def age(seconds: float | None) -> str:
    """Tell an age in its largest unit."""
    if seconds is None:
        return ""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(int(seconds), 0)} s"


def _outcome(one: ProcessOutcome) -> Iterator[str]:
    """Yield the cells of one outcome."""
    yield str(one.identity.pid)
    yield printable(one.name or "")
    yield one.fate.replace("_", " ")
    yield " ".join(name.removeprefix("SIG") for name in one.signals)
    yield "" if one.exit_code is None else str(one.exit_code)
    yield "" if one.seconds is None else f"{one.seconds:.2f} s"
    yield ", ".join(one.evidence)
    yield printable("; ".join(filter(None, (one.spared, one.detail))))


def _standing(one: TreeMember) -> str:
    """Say why a process belongs to the tree, or why it is not touched."""
    evidence = ", ".join(one.evidence)
    return evidence if one.spared is None else f"{evidence}; spared {printable(one.spared)}"


def _and(words: Iterable[str]) -> str:
    """Join words as a sentence does."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _listed(outcomes: Iterable[ProcessOutcome]) -> str:
    """Name some processes as the subject of a sentence."""
    pids = [str(one.identity.pid) for one in outcomes]
    return f"process {pids[0]} was" if len(pids) == 1 else f"processes {', '.join(pids)} were"


def _escaped(one: str) -> str:
    """Write a character as Python does; a lone surrogate stands for a byte."""
    byte = ord(one) - _BYTE_BASE
    return f"\\x{byte:02x}" if byte in range(256) else ascii(one)[1:-1]


_STATES = {RecordFate.REAPED: "orphaned", RecordFate.SURVIVED: "orphaned"}


_RECORD_STYLES = {
    "running": "green",
    "starting": "green",
    "orphaned": "yellow",
    "reaped": "green",
    "survived": "bold red",
    "gone": "dim",
    "exited": "dim",
    "recycled": "dim",
}
"""How a row looks where there are colours; what is kept in doubt is told as it is."""


def state(one: RecordOutcome) -> str:
    """Say in a word where a session stands that was looked at in a dry run."""
    if one.fate is not RecordFate.OWNED:
        return _STATES.get(one.fate, one.fate)
    if one.pid is None:
        return "starting"
    return "running" if one.alive else "exited"


def sessions(report: RecoveryReport, now: float) -> Table:
    """List what is written down.

    Args:
        report: of a dry run.
        now: seconds since the epoch.
    """
    heads = ("SESSION", "TOOL", "PID", "AGE", "STATE", "OWNER", "NOTE")
    rows = []
    for one in report.outcomes:
        cells = (
            printable(one.session_id),
            printable(one.tool or ""),
            _number(one.pid),
            "" if one.created_at is None else age(now - one.created_at),
            state(one),
            _number(one.owner),
            printable(one.detail or ""),
        )
        rows.append(Row(cells, _RECORD_STYLES.get(state(one), "")))
    return Table(heads, rows).compact()


def recovery(report: RecoveryReport) -> Table:
    """Tell what became of each record."""
    heads = ("SESSION", "TOOL", "PID", "FATE", "OWNER", "NOTE")
    rows = []
    for one in report.outcomes:
        notes = (one.kill.summary() if one.kill and one.kill.outcomes else None, one.detail)
        cells = (
            printable(one.session_id),
            printable(one.tool or ""),
            _number(one.pid),
            str(one.fate),
            _number(one.owner),
            printable("; ".join(filter(None, notes))),
        )
        rows.append(Row(cells, _RECORD_STYLES.get(one.fate, "")))
    return Table(heads, rows).compact()


def _number(pid: int | None) -> str:
    """Write a number that may not be known."""
    return "" if pid is None else str(pid)
