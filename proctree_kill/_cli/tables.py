"""The tables and sentences of the command line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from .._models.result import Fate, KillEvent, KillResult
from .._models.text import Row, Table, printable
from .._models.tree import TreeMember, TreeSnapshot, branches, named, reasons
from .._systems.contract import Details

COMMAND = "COMMAND"  # the head of a column of command lines, which may be long
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def ended_line(result: KillResult) -> str:
    """Name the processes that a command left and that were ended; empty if there are none."""
    ended = _ended(result)
    return f"the command left processes, which were ended: {ended}" if ended else ""


def idle_line(seconds: float, result: KillResult | None) -> str:
    """Say how long a command was idle, and name the processes that were ended for that."""
    ended = _ended(result) if result is not None else ""
    return f"the command was idle for {seconds:g} s" + (f"; ended: {ended}" if ended else "")


def _ended(result: KillResult) -> str:
    fates = {Fate.TERMINATED: "", Fate.KILLED: " by force"}
    return ", ".join(
        f"{printable(outcome.name or '?')} ({outcome.identity.pid}){fates[outcome.fate]}"
        for outcome in result.outcomes
        if outcome.fate in fates
    )


def tree_table(
    snapshot: TreeSnapshot,
    shown: Mapping[int, Details],
    head: str = COMMAND,
    *,
    fold: bool = True,
) -> Table:
    """Draw a tree, each process with its place in the order of the requests.

    Args:
        snapshot: the tree.
        shown: user, command line and age of each process, by pid.
        head: the head of the column of the command lines, or of what stands in their place.
        fold: whether many alike siblings without children share a row.
    """
    to_end = [member.identity.pid for member in snapshot.members if member.spared is None]
    order = {pid: place for place, pid in enumerate(to_end, 1)}

    def facts_of(member: TreeMember) -> Details:
        return shown.get(member.identity.pid, Details())

    rows = []
    for lines, alike in branches(
        snapshot.members,
        fold=fold,
        shown=lambda member: facts_of(member)._replace(seconds=None),
    ):
        places = sorted(filter(None, (order.get(member.identity.pid) for member in alike)))
        ages = (facts_of(member).seconds for member in alike)
        facts = facts_of(alike[0])
        cells = (
            "-".join(map(str, dict.fromkeys((places[0], places[-1])))) if places else "-",
            f"{lines}{named(*alike)}",
            reasons(alike[0]),
            printable(facts.user or ""),
            age(max((seconds for seconds in ages if seconds is not None), default=None)),
            printable(facts.command or ""),
        )
        rows.append(Row(cells, "cyan" if alike[0].spared else ""))
    heads = ("ORDER", "PROCESS", "EVIDENCE", "USER", "AGE", head)
    narrow: Literal["cut", "wrap"] = "cut" if head == COMMAND else "wrap"
    optional = ("AGE", "USER", "EVIDENCE")
    return Table(
        heads, rows, text=head, optional=optional, narrow=narrow, drawn="PROCESS"
    ).compact()


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
