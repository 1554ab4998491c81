"""The table of the recorded sessions. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from .._models.text import Table
from .._records.report import (
    STYLES,
    RecordFate,
    RecordOutcome,
    RecoveryReport,
    record_row,
    record_table,
)
from .tables import age

_STATE_STYLES: Mapping[str, str] = {
    **STYLES,
    "running": "green",
    "starting": "green",
    "orphaned": "yellow",
    "exited": "dim",
}


def session_state(record: RecordOutcome) -> str:
    """Return the state of a session, from a dry run of the recovery."""
    if record.fate in (RecordFate.ENDED, RecordFate.SURVIVED):
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
    rows = []
    for record in report.outcomes:
        seconds = None if record.created_at is None else now - record.created_at
        state = session_state(record)
        rows.append(record_row(record, age(seconds), state, style=_STATE_STYLES.get(state, "")))
    return record_table(rows, "AGE", "STATE")
