"""What the page shows of a session, and of the processes in its tree."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from proctree_kill import KillResult, ProcessOutcome, SessionEvent, TreeMember, TreeSnapshot

LINES = 200  # kept of a log
OVER = frozenset({"stopped", "exited", "recovered"})
"""The states after which nothing happens."""


@dataclass
class Row:
    """A process of a tree.

    Args:
        pid: its pid.
        name: its short name.
        ppid: the pid of its parent when it was found.
        depth: its distance from the root.
        evidence: why it belongs to the tree.
        fate: its fate, or None while it is alive.
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


@dataclass
class Card:
    """A session as the page shows it.

    Args:
        id: the id of the session.
        repository: the task of the agent.
        stubborn: whether the agent ignores each request to exit.
        state: a :class:`~proctree_kill.SessionState`, or ``recovering`` or ``recovered``.
        pid: the pid of the root.
        started_at: seconds since the epoch.
        message: how it ended, as a sentence.
        result: the result of the task.
        question: the open question, with the schema of an answer.
        rows: its tree, parents above their children.
        events: the events of the manager.
        log: the last lines of the agent's output.
    """

    id: str
    repository: str
    stubborn: bool
    state: str = "starting"
    pid: int | None = None
    started_at: float | None = None
    message: str | None = None
    result: str | None = None
    question: dict[str, Any] | None = None
    rows: list[Row] = field(default_factory=list)
    events: list[dict[str, object]] = field(default_factory=list)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))

    @property
    def over(self) -> bool:
        """Whether the session has ended."""
        return self.state in OVER

    def add_event(self, event: SessionEvent) -> None:
        """Update the state from an event of the manager."""
        self.events.append({"name": event.event, "at": event.at})
        self.state = "recovered" if event.event.endswith(".recovered") else event.state.value
        self.pid = event.pid or self.pid
        if self.state != "running":
            self.question = None  # no process waits for the answer any more
        if self.over:
            self.close()

    def add_output(self, output: dict[str, Any]) -> None:
        """Update the card from a message of the agent."""
        match output:
            case {"kind": "question", "message": message, "schema": schema}:
                self.question = {"message": message, "schema": schema}
                self.log.append(f"asks: {message}")
            case {"kind": "result", "text": str(text)}:
                self.result = text
                self.log.append(f"done: {text}")
            case {"text": str(text)}:
                self.log.append(text)
            case _:  # of a newer agent
                pass

    def update_tree(self, tree: TreeSnapshot) -> bool:
        """Show a new snapshot; during a stop, processes that left it are shown as gone.

        Returns:
            Whether a row has changed.
        """
        rows = {member.identity.pid: _row(member) for member in tree.members}
        absent = self._absent(rows) if self.state == "stopping" else []
        return self._show([*rows.values(), *absent])

    def close(self, kill: KillResult | None = None, message: str | None = None) -> None:
        """Show what became of each process."""
        if message:
            words = message.removeprefix(f"session {self.id}: ")
            self.message = words[:1].upper() + words[1:]
        rows = {outcome.identity.pid: _row(outcome) for outcome in kill.outcomes} if kill else {}
        for row in rows.values():
            known = next((old for old in self.rows if old.pid == row.pid), row)
            row.depth, row.ppid = known.depth, known.ppid  # as the page drew it
        self._show([*rows.values(), *self._absent(rows)])

    def data(self) -> dict[str, Any]:
        """Return the card as JSON data."""
        return asdict(self) | {"log": list(self.log), "over": self.over}

    def _absent(self, found: dict[int, Row]) -> list[Row]:
        absent = [row for row in self.rows if row.pid not in found]
        for row in absent:
            row.fate = row.fate or "gone"
        return absent

    def _show(self, rows: list[Row]) -> bool:
        before = [asdict(row) for row in self.rows]
        self.rows = list(_parents_first(rows))
        return before != [asdict(row) for row in self.rows]


def _row(member: TreeMember) -> Row:
    row = Row(
        pid=member.identity.pid,
        name=member.name or "?",
        ppid=member.ppid,
        depth=member.depth,
        evidence=[reason.value for reason in member.evidence],
    )
    if isinstance(member, ProcessOutcome):
        row.fate, row.signals, row.seconds = member.fate.value, [*member.signals], member.seconds
    return row


def _parents_first(rows: Iterable[Row]) -> Iterable[Row]:
    pids = {row.pid for row in rows}
    children: dict[int | None, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.depth, row.pid)):
        children.setdefault(row.ppid if row.ppid in pids else None, []).append(row)
    waiting = children.pop(None, [])[::-1]
    while waiting:
        row = waiting.pop()
        yield row
        waiting += children.pop(row.pid, [])[::-1]
