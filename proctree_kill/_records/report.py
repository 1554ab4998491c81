"""What a recovery finds and does. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from .._models.base import Model
from .._models.result import KillResult, without_gone
from .._models.shown import Shown
from .._models.text import Row, Table, printable


class RecordFate(StrEnum):
    """What became of a record, or in a dry run what would."""

    ENDED = "ended"
    """Its owner is dead and members of its tree lived: the tree was ended, the record dropped."""
    SURVIVED = "survived"
    """As above, but a member survived: the record is kept."""
    GONE = "gone"
    """No member of its tree is left, or it is of an earlier boot: dropped."""
    RECYCLED = "recycled"
    """Its number belongs to another process now, which was not touched: dropped."""
    OWNED = "owned"
    """Its owner lives as the same program, or another recovery ends it now: left alone."""
    FOREIGN = "foreign"
    """It is of another machine or pid namespace: kept."""
    UNREADABLE = "unreadable"
    """It cannot be understood, or is a newer release's: kept."""
    UNTRUSTED = "untrusted"
    """Another user may have written it, or it is no plain file: kept, and never acted upon."""
    BARE = "bare"
    """It is a number that another program wrote, and may not be acted upon: kept."""


STYLES: Mapping[str, str] = {
    RecordFate.ENDED: "green",
    RecordFate.SURVIVED: "bold red",
    RecordFate.GONE: "dim",
    RecordFate.RECYCLED: "dim",
}
"""The styles of rich."""
_EMPTY = (RecordFate.GONE, RecordFate.RECYCLED)  # of many there is nothing to say


class RecordOutcome(Model):
    """What was found in one file, and what became of it.

    Args:
        session_id: the session; the name of the file where that holds no id.
        fate: what became of it.
        path: the file.
        tool: the kind of its agent, where the file holds it.
        pid: the root of its tree, where it is known.
        owner: the number of the process that wrote it.
        created_at: when it was written, in seconds since the epoch.
        alive: whether the root lives; None where it is not known.
        detail: the reason, or what else was found.
        kill: what was done to each process.
    """

    session_id: str
    fate: RecordFate
    path: str
    tool: str | None = None
    pid: int | None = None
    owner: int | None = None
    created_at: float | None = None
    alive: bool | None = None
    detail: str | None = None
    kill: KillResult | None = None

    def __str__(self) -> str:
        found = "; ".join(filter(None, (self.fate, _note(self))))
        return f"{printable(self.session_id)}: {found}"

    def __repr__(self) -> str:
        return f"<RecordOutcome {self}>"


class RecoveryReport(Shown, Model):
    """What became of every record in a folder.

    Args:
        directory: the folder.
        dry_run: whether no process was touched and no file removed.
        outcomes: one for each session, by the names of their files; one more where an untrusted
            record stands beside an intent.
    """

    directory: str
    dry_run: bool
    outcomes: tuple[RecordOutcome, ...]

    @property
    def ok(self) -> bool:
        """Whether no process survived that was to end."""
        return not self.survived

    @property
    def ended(self) -> tuple[RecordOutcome, ...]:
        """The records whose tree was ended."""
        return self._of(RecordFate.ENDED)

    @property
    def survived(self) -> tuple[RecordOutcome, ...]:
        """The records of whose tree a member survived."""
        return self._of(RecordFate.SURVIVED)

    @property
    def gone(self) -> tuple[RecordOutcome, ...]:
        """The records of whose tree no member was left."""
        return self._of(RecordFate.GONE)

    @property
    def recycled(self) -> tuple[RecordOutcome, ...]:
        """The records whose number belongs to another process now."""
        return self._of(RecordFate.RECYCLED)

    @property
    def owned(self) -> tuple[RecordOutcome, ...]:
        """The records whose owner lives."""
        return self._of(RecordFate.OWNED)

    @property
    def foreign(self) -> tuple[RecordOutcome, ...]:
        """The records of another machine or pid namespace."""
        return self._of(RecordFate.FOREIGN)

    @property
    def unreadable(self) -> tuple[RecordOutcome, ...]:
        """The records that cannot be understood."""
        return self._of(RecordFate.UNREADABLE)

    @property
    def untrusted(self) -> tuple[RecordOutcome, ...]:
        """The records that another user may have written, or that are no plain files."""
        return self._of(RecordFate.UNTRUSTED)

    @property
    def bare(self) -> tuple[RecordOutcome, ...]:
        """Bare numbers of another program that were left alone."""
        return self._of(RecordFate.BARE)

    def summary(self) -> str:
        """Return the report in one line."""
        count = Counter(outcome.fate for outcome in self.outcomes)
        parts = [f"{count[fate]:,} {fate}" for fate in RecordFate if count[fate]]
        would = "would be: " if self.dry_run and parts else ""
        return would + (", ".join(parts) or "no records")

    def _table(self) -> Table:
        rows = [
            record_row(outcome, outcome.fate, style=STYLES.get(outcome.fate, ""))
            for outcome in self.outcomes
        ]
        return record_table(rows, "FATE")

    def _of(self, fate: RecordFate) -> tuple[RecordOutcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.fate is fate)


def record_table(rows: list[Row], *middle: str) -> Table:
    """Return a table of records.

    Args:
        rows: the rows, as :func:`record_row` makes them.
        middle: the heads of the columns between the pid and the owner.
    """
    heads = ("SESSION", "TOOL", "PID", *middle, "OWNER", "NOTE")
    optional = ("OWNER", "TOOL", "AGE")
    return Table(heads, rows, text="NOTE", optional=optional, counted="SESSION").compact()


def record_row(record: RecordOutcome, *middle: str, style: str) -> Row:
    """Return the row of a record, with these cells between the pid and the owner."""
    pid, owner = ("" if number is None else str(number) for number in (record.pid, record.owner))
    cells = (printable(record.session_id), printable(record.tool or ""), pid, *middle, owner)
    return Row((*cells, _note(record)), style, folds=record.fate in _EMPTY)


def _note(record: RecordOutcome) -> str:
    kill = record.kill and without_gone(record.kill)
    killed = kill.summary() if kill and kill.outcomes else None
    return printable("; ".join(filter(None, (killed, record.detail))))
