"""The processes of a tree as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from proctree_kill import Evidence, ProcessOutcome, TreeMember

from ._known_names import known_name


@dataclass
class Row:
    """A process of a tree.

    Args:
        pid: its pid.
        name: its name.
        ppid: the pid of its parent when it was found.
        depth: its distance from the root.
        evidence: why it belongs to the tree.
        fate: its :class:`~proctree_kill.Fate`; ``exited`` (by itself), ``died`` (by a signal of
            another program), ``gone`` (during a stop), ``ended`` (after the death of the server)
            or ``unknown``; None while it is alive.
        signals: the signals sent to it.
        seconds: from the stop until its death was seen.
    """

    pid: int
    name: str
    ppid: int | None
    depth: int
    evidence: list[str]
    fate: str | None = None
    signals: list[str] = field(default_factory=list)
    seconds: float | None = None


def row_of(member: TreeMember, known: Row | None) -> Row:
    """Return the row of a process.

    Args:
        member: the process; of an outcome the fate is shown as well.
        known: its row until now, whose name and place it keeps: dying processes lose both.
    """
    pid = member.identity.pid
    row = Row(pid, member.name or "?", member.ppid, member.depth, list(member.evidence))
    if known is not None:
        row.name, row.ppid, row.depth = known.name, known.ppid, known.depth
    if isinstance(member, ProcessOutcome):
        row.fate, row.signals, row.seconds = member.fate.value, [*member.signals], member.seconds
    else:
        row.name = known_name(pid, is_root=Evidence.ROOT in member.evidence) or row.name
    return row


def parents_first(rows: Iterable[Row]) -> Iterable[Row]:
    """Yield the rows, parents above their children."""
    pids = {row.pid for row in rows}
    children: dict[int | None, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.depth, row.pid)):
        children.setdefault(row.ppid if row.ppid in pids else None, []).append(row)
    waiting = children.pop(None, [])[::-1]
    while waiting:
        row = waiting.pop()
        yield row
        waiting += children.pop(row.pid, [])[::-1]
