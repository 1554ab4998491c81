"""The tables and sentences of the command line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .._models.result import Fate, KillEvent, KillResult
from .._models.text import Row, Table, printable
from .._models.tree import LINES, Glyphs, TreeMember, TreeSnapshot, branches
from .._records.report import RecordFate, RecordOutcome, RecoveryReport
from .._systems.contract import Details

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
_RECORD_STYLES = {
    "running": "green",
    "starting": "green",
    "orphaned": "yellow",
    "ended": "green",
    "survived": "bold red",
    "gone": "dim",
    "exited": "dim",
    "recycled": "dim",
}


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
        rows.append(Row(cells, "cyan" if spared else ""))
    heads = ("ORDER", "PROCESS", "EVIDENCE", "USER", "AGE", head)
    return Table(
        heads, rows, text=head, optional=("AGE", "USER", "EVIDENCE"), one_line=True
    ).compact()


def process_table(members: Iterable[TreeMember], shown: Mapping[int, Details]) -> Table:
    """List processes, each with what it shows of itself, by pid."""
    heads = ("PID", "PROCESS", "USER", "AGE", "COMMAND")
    return Table(
        heads,
        [
            Row(process_cells(member, shown.get(member.identity.pid, Details())))
            for member in members
        ],
        text="COMMAND",
        optional=("AGE", "USER"),
        one_line=True,
    ).compact()


def process_cells(member: TreeMember, facts: Details) -> tuple[str, ...]:
    """Return pid, name, user, age and command line of a process."""
    texts = (facts.user or "", age(facts.seconds), facts.command or "")
    return (str(member.identity.pid), printable(member.name or "?"), *map(printable, texts))


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
    heads = ("SESSION", "TOOL", "PID", "AGE", "STATE", "OWNER", "NOTE")
    rows = []
    for record in report.outcomes:
        seconds = None if record.created_at is None else now - record.created_at
        rows.append(_record_row(record, age(seconds), session_state(record)))
    return Table(heads, rows, text="NOTE", optional=("OWNER", "TOOL", "AGE")).compact()


def record_table(report: RecoveryReport) -> Table:
    """Show what became of each record."""
    heads = ("SESSION", "TOOL", "PID", "FATE", "OWNER", "NOTE")
    rows = [_record_row(record, record.fate) for record in report.outcomes]
    return Table(heads, rows, text="NOTE", optional=("OWNER", "TOOL", "AGE")).compact()


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


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
