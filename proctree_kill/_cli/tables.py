"""The tables and sentences of the command line. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .._models.result import Fate, KillEvent, KillResult, ProcessOutcome
from .._models.tree import LINES, Glyphs, TreeSnapshot, branches
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
_MARGIN = "  "
_BYTE_BASE = 0xDC00  # plus a byte that is no UTF-8: its surrogate (PEP 383)
_RIGHT = frozenset(("ORDER", "PID", "EXIT", "AFTER", "AGE"))  # heads of columns of numbers


class Row(NamedTuple):
    """One line of a table, and its style of rich."""

    cells: tuple[str, ...]
    style: str = ""


class Table(NamedTuple):
    """Heads and rows, and whether a line may be cut at the width of the terminal."""

    heads: tuple[str, ...]
    rows: list[Row]
    may_be_cut: bool = False

    def compact(self) -> Table:
        """Leave out the empty columns."""
        filled = [index for index in range(len(self.heads)) if any(self.column(index)[1:])]
        rows = [Row(tuple(row.cells[index] for index in filled), row.style) for row in self.rows]
        return Table(tuple(self.heads[index] for index in filled), rows, self.may_be_cut)

    def column(self, index: int) -> list[str]:
        """Return the head and the cells of a column."""
        return [self.heads[index], *(row.cells[index] for row in self.rows)]


def plain(table: Table, width: int | None = None) -> Iterator[str]:
    """Yield the lines of a table as plain text, numbers to the right."""
    end = width if table.may_be_cut else None
    widths = [max(map(len, table.column(index))) for index in range(len(table.heads))]
    for cells in (table.heads, *(row.cells for row in table.rows)):
        parts = [
            cell.rjust(size) if head in _RIGHT else cell.ljust(size)
            for head, cell, size in zip(table.heads, cells, widths, strict=True)
        ]
        yield _MARGIN.join(parts).rstrip()[:end]


def outcome_table(result: KillResult) -> Table:
    """Show what became of each process, in the order asked."""
    heads = ("PID", "NAME", "FATE", "SIGNALS", "EXIT", "AFTER", "EVIDENCE", "NOTE")
    rows = [Row(tuple(_cells(outcome)), _STYLES[outcome.fate]) for outcome in result.outcomes]
    return Table(heads, rows).compact()


def ended_line(result: KillResult) -> str:
    """Name the processes that were ended; empty if there are none."""
    fates = {Fate.TERMINATED: "", Fate.KILLED: " by force"}
    ended = [
        f"{printable(outcome.name or '?')} ({outcome.identity.pid}){fates[outcome.fate]}"
        for outcome in result.outcomes
        if outcome.fate in fates
    ]
    return f"the command left processes, which were ended: {', '.join(ended)}" if ended else ""


def tree_table(
    snapshot: TreeSnapshot,
    shown: Mapping[int, Details],
    head: str = "COMMAND",
    glyphs: Glyphs = LINES,
) -> Table:
    """Draw a tree, each process with its place in the order of the requests.

    Args:
        snapshot: the tree.
        shown: user, command line and age of each process, by pid.
        head: the head of the column of the command lines.
        glyphs: the characters of the lines.
    """
    to_end = [member.identity.pid for member in snapshot.members if member.spared is None]
    order = {pid: str(place) for place, pid in enumerate(to_end, 1)}
    rows = []
    for lines, member in branches(snapshot.members, glyphs):
        pid = member.identity.pid
        facts = shown.get(pid, Details())
        spared = "" if member.spared is None else f"; spared {printable(member.spared)}"
        cells = (
            order.get(pid, "-"),
            f"{lines}{printable(member.name or '?')} {pid}",
            ", ".join(member.evidence) + spared,
            printable(facts.user or ""),
            age(facts.seconds),
            printable(facts.command or ""),
        )
        rows.append(Row(cells, _STYLES[Fate.SPARED] if spared else ""))
    heads = ("ORDER", "PROCESS", "EVIDENCE", "USER", "AGE", head)
    return Table(heads, rows, may_be_cut=True).compact()


def result_line(result: KillResult) -> str:
    """Return a result in one line, also if there was nothing to do."""
    fates = {outcome.fate for outcome in result.outcomes}
    if fates == {Fate.ALREADY_GONE}:
        pids = [str(outcome.identity.pid) for outcome in result.outcomes]
        subject = (
            f"process {pids[0]} was" if len(pids) == 1 else f"processes {', '.join(pids)} were"
        )
        return f"nothing to do: {subject} gone already"
    if fates <= {Fate.ALREADY_GONE, Fate.SPARED}:
        return "nothing to do: no process to end"
    if not result.verified:
        return result.summary()
    return f"{result.summary()}; the last scan ({', '.join(result.verified)}) found no process"


def event_line(event: KillEvent) -> str:
    """Return an event in one line."""
    happened = {
        "asked": "asked to exit",
        "escalated": "force",
        "found": f"process {event.identity} is found",
        "gone": f"process {event.identity} is gone",
        "settled": "settled",
    }[event.kind]
    return f"{event.seconds:7.3f} s  {happened}, {event.remaining} left"


def printable(text: str) -> str:
    """Escape the characters that move the cursor, colour the terminal, or have no encoding."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def age(seconds: float | None) -> str:
    """Return an age in its largest unit."""
    if seconds is None:
        return ""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(int(seconds), 0)} s"


def session_state(record: RecordOutcome) -> str:
    """Return the state of a session, from a dry run of the recovery."""
    if record.fate in (RecordFate.REAPED, RecordFate.SURVIVED):
        return "orphaned"
    if record.fate is not RecordFate.OWNED:
        return record.fate
    if record.pid is None:
        return "starting"
    return "running" if record.alive else "exited"


def session_table(report: RecoveryReport, now: float) -> Table:
    """List the sessions of a folder.

    Args:
        report: of a dry run.
        now: seconds since the epoch.
    """
    heads = ("SESSION", "TOOL", "PID", "AGE", "STATE", "OWNER", "NOTE")
    rows = []
    for record in report.outcomes:
        seconds = None if record.created_at is None else now - record.created_at
        rows.append(_record_row(record, age(seconds), session_state(record)))
    return Table(heads, rows).compact()


def record_table(report: RecoveryReport) -> Table:
    """Show what became of each record."""
    heads = ("SESSION", "TOOL", "PID", "FATE", "OWNER", "NOTE")
    rows = [_record_row(record, record.fate) for record in report.outcomes]
    return Table(heads, rows).compact()


def _record_row(record: RecordOutcome, *middle: str) -> Row:
    """Return a row, in the style of the last cell in the middle: the state or the fate."""
    killed = record.kill.summary() if record.kill and record.kill.outcomes else None
    cells = (
        printable(record.session_id),
        printable(record.tool or ""),
        _text(record.pid),
        *middle,
        _text(record.owner),
        printable("; ".join(filter(None, (killed, record.detail)))),
    )
    return Row(cells, _RECORD_STYLES.get(middle[-1], ""))


def _cells(outcome: ProcessOutcome) -> Iterator[str]:
    yield str(outcome.identity.pid)
    yield printable(outcome.name or "")
    yield outcome.fate.replace("_", " ")
    yield " ".join(name.removeprefix("SIG") for name in outcome.signals)
    yield _text(outcome.exit_code)
    yield "" if outcome.seconds is None else f"{outcome.seconds:.2f} s"
    yield ", ".join(outcome.evidence)
    yield printable("; ".join(filter(None, (outcome.spared, outcome.detail))))


def _text(number: int | None) -> str:
    return "" if number is None else str(number)


def _escaped(char: str) -> str:
    byte = ord(char) - _BYTE_BASE
    return f"\\x{byte:02x}" if byte in range(256) else ascii(char)[1:-1]
