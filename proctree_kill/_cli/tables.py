"""The tables and sentences of the command line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Literal

from .._models.result import Fate, KillEvent, KillResult
from .._models.text import FEW, TIMES, Row, Table, printable
from .._models.tree import LINES, Glyphs, TreeMember, TreeSnapshot, branches
from .._records.report import RecordFate, RecordOutcome, RecoveryReport
from .._systems.contract import Details

COMMAND = "COMMAND"  # the head of a column of command lines, which may be long
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
_EMPTY = (RecordFate.GONE, RecordFate.RECYCLED)


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
    head: str = COMMAND,
    glyphs: Glyphs = LINES,
    times: str | None = TIMES,
) -> Table:
    """Draw a tree, each process with its place in the order of the requests.

    Args:
        snapshot: the tree.
        shown: user, command line and age of each process, by pid.
        head: the head of the column of the command lines, or of what stands in their place.
        glyphs: the characters of the lines.
        times: the sign before the number of alike siblings without children, which share a row;
            None gives each a row.
    """
    to_end = [member.identity.pid for member in snapshot.members if member.spared is None]
    order = {pid: place for place, pid in enumerate(to_end, 1)}
    parents = {member.ppid for member in snapshot.members}

    def key(branch: tuple[str, TreeMember]) -> object:
        member = branch[1]
        pid = member.identity.pid
        if times is None or pid in parents:
            return pid
        facts = shown.get(pid, Details())
        return (
            member.ppid,
            member.depth,
            member.name,
            member.evidence,
            member.spared,
            facts.user,
            facts.command,
        )

    rows = []
    for _, group in groupby(branches(snapshot.members, glyphs), key):
        alike = list(group)
        if len(alike) > FEW:
            number = f"{times}{len(alike):,}"
            rows.append(_tree_row(alike, number, order, shown))
        else:
            rows += [
                _tree_row([branch], str(branch[1].identity.pid), order, shown) for branch in alike
            ]
    heads = ("ORDER", "PROCESS", "EVIDENCE", "USER", "AGE", head)
    narrow: Literal["cut", "wrap"] = "cut" if head == COMMAND else "wrap"
    optional = ("AGE", "USER", "EVIDENCE")
    return Table(heads, rows, text=head, optional=optional, narrow=narrow).compact()


def _tree_row(
    alike: list[tuple[str, TreeMember]],
    number: str,
    order: Mapping[int, int],
    shown: Mapping[int, Details],
) -> Row:
    """Return a row for alike members, of which the last has the lines of a drawing below it."""
    lines, member = alike[-1]
    pids = [member.identity.pid for _, member in alike]
    places = sorted({order[pid] for pid in pids if pid in order})
    facts = [shown.get(pid, Details()) for pid in pids]
    spared = "" if member.spared is None else f"; spared {printable(member.spared)}"
    cells = (
        "-".join(map(str, dict.fromkeys((places[0], places[-1])))) if places else "-",
        f"{lines}{printable(member.name or '?')} {number}",
        ", ".join(member.evidence) + spared,
        printable(facts[0].user or ""),
        age(max((fact.seconds for fact in facts if fact.seconds is not None), default=None)),
        printable(facts[0].command or ""),
    )
    return Row(cells, "cyan" if spared else "")


def process_table(members: Iterable[TreeMember], shown: Mapping[int, Details]) -> Table:
    """List processes, each with what it shows of itself, by pid."""
    heads = ("PID", "PROCESS", "USER", "AGE", COMMAND)
    return Table(
        heads,
        [
            Row(process_cells(member, shown.get(member.identity.pid, Details())))
            for member in members
        ],
        text=COMMAND,
        optional=("AGE", "USER"),
        narrow="cut",
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


def session_table(report: RecoveryReport, now: float, times: str | None = TIMES) -> Table:
    """List the sessions of a folder.

    Args:
        report: of a dry run.
        now: seconds since the epoch.
        times: as for :func:`record_table`.
    """
    heads = ("SESSION", "TOOL", "PID", "AGE", "STATE", "OWNER", "NOTE")
    rows = []
    for record in report.outcomes:
        seconds = None if record.created_at is None else now - record.created_at
        rows.append(_record_row(record, age(seconds), session_state(record)))
    return _of_records(heads, rows, times)


def record_table(report: RecoveryReport, times: str | None = TIMES) -> Table:
    """Show what became of each record.

    Args:
        report: of a recovery.
        times: the sign before the number of alike records without a process, which share a row;
            None gives each a row.
    """
    heads = ("SESSION", "TOOL", "PID", "FATE", "OWNER", "NOTE")
    rows = [_record_row(record, record.fate) for record in report.outcomes]
    return _of_records(heads, rows, times)


def _of_records(heads: tuple[str, ...], rows: list[Row], times: str | None) -> Table:
    optional = ("OWNER", "TOOL", "AGE")
    table = Table(heads, rows, text="NOTE", optional=optional, times=times, counted="SESSION")
    return table.compact()


def _record_row(record: RecordOutcome, *middle: str) -> Row:
    """Return a row, in the style of the last cell in the middle: the state or the fate."""
    kill = record.kill
    has_ended = kill and any(outcome.fate != Fate.ALREADY_GONE for outcome in kill.outcomes)
    killed = kill.summary() if kill and has_ended else None
    cells = (
        printable(record.session_id),
        printable(record.tool or ""),
        _text(record.pid),
        *middle,
        _text(record.owner),
        printable("; ".join(filter(None, (killed, record.detail)))),
    )
    return Row(cells, _RECORD_STYLES.get(middle[-1], ""), folds=record.fate in _EMPTY)


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
