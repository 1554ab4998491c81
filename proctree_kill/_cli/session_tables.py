"""What the command line says about sessions, as tables and sentences. Pure."""

from __future__ import annotations

from .._records.report import RecordFate, RecordOutcome, RecoveryReport
from .tables import Row, Table, age, printable

_STATES = {RecordFate.REAPED: "orphaned", RecordFate.SURVIVED: "orphaned"}
_STYLES = {
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
        rows.append(Row(cells, _STYLES.get(state(one), "")))
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
        rows.append(Row(cells, _STYLES.get(one.fate, "")))
    return Table(heads, rows).compact()


def _number(pid: int | None) -> str:
    """Write a number that may not be known."""
    return "" if pid is None else str(pid)
