"""What the page shows of a session, and of the processes in its tree."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from proctree_kill import KillResult, ProcessOutcome, SessionEvent, TreeMember, TreeSnapshot

LINES = 200
"""How many lines of a log are kept."""
OVER = frozenset({"stopped", "exited", "recovered"})
"""The states of which nothing follows."""


@dataclass
class Row:
    """A process of a tree.

    Args:
        pid: its number.
        name: its short name.
        ppid: its parent when it was found.
        depth: how far it is below its root.
        evidence: why it belongs to the tree.
        fate: what became of it, or None while it lives.
        signals: what was sent to it.
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
        repository: what the agent works on.
        deaf: whether it ignores every request to leave.
        state: a :class:`~proctree_kill.SessionState`, or ``recovering`` or ``recovered``.
        pid: the root of its tree.
        started_at: seconds since the epoch.
        message: how it ended, as a sentence.
        result: what the agent achieved.
        question: what it asks and waits for, with the schema of an answer.
        rows: its tree, parents above their children.
        events: what its manager told.
        log: what the agent said.
    """

    id: str
    repository: str
    deaf: bool
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
        """Whether nothing follows."""
        return self.state in OVER

    def hear(self, event: SessionEvent) -> None:
        """Take in what the manager tells."""
        self.events.append({"name": event.event, "at": event.at})
        self.state = "recovered" if event.event.endswith(".recovered") else event.state.value
        self.pid = event.pid or self.pid
        if self.state != "running":
            self.question = None  # nobody waits for the answer any more
        if self.over:
            self.close()

    def read(self, said: dict[str, Any]) -> None:
        """Take in what the agent says."""
        match said:
            case {"say": "question", "message": message, "schema": schema}:
                self.question = {"message": message, "schema": schema}
                self.log.append(f"asks: {message}")
            case {"say": "result", "text": str(text)}:
                self.result = text
                self.log.append(f"done: {text}")
            case {"text": str(text)}:
                self.log.append(text)
            case _:  # a newer agent's
                pass

    def see(self, tree: TreeSnapshot) -> bool:
        """Take in a tree; during a stop those who have left it are shown as gone.

        Returns:
            Whether anything has changed.
        """
        found = {one.identity.pid: _row(one) for one in tree.members}
        absent = self._absent(found) if self.state == "stopping" else []
        return self._show([*found.values(), *absent])

    def close(self, kill: KillResult | None = None, message: str | None = None) -> None:
        """Take in what became of everybody."""
        if message:
            words = message.removeprefix(f"session {self.id}: ")
            self.message = words[:1].upper() + words[1:]
        told = {one.identity.pid: _row(one) for one in kill.outcomes} if kill else {}
        for one in told.values():
            known = next((row for row in self.rows if row.pid == one.pid), one)
            one.depth, one.ppid = known.depth, known.ppid  # as the page drew it
        self._show([*told.values(), *self._absent(told)])

    def data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self) | {"log": list(self.log), "over": self.over}

    def _absent(self, found: dict[int, Row]) -> list[Row]:
        """Return the rows of those who are not among these any more."""
        absent = [one for one in self.rows if one.pid not in found]
        for one in absent:
            one.fate = one.fate or "gone"
        return absent

    def _show(self, rows: list[Row]) -> bool:
        """Draw these, and tell whether that changes anything."""
        before = [asdict(one) for one in self.rows]
        self.rows = list(_drawn(rows))
        return before != [asdict(one) for one in self.rows]


def _row(one: TreeMember) -> Row:
    """Return the row of a process."""
    row = Row(
        pid=one.identity.pid,
        name=one.name or "?",
        ppid=one.ppid,
        depth=one.depth,
        evidence=[reason.value for reason in one.evidence],
    )
    if isinstance(one, ProcessOutcome):
        row.fate, row.signals, row.seconds = one.fate.value, list(one.signals), one.seconds
    return row


def _drawn(rows: Iterable[Row]) -> Iterable[Row]:
    """Put parents above their children."""
    pids = {one.pid for one in rows}
    children: dict[int | None, list[Row]] = {}
    for one in sorted(rows, key=lambda row: (row.depth, row.pid)):
        children.setdefault(one.ppid if one.ppid in pids else None, []).append(one)
    waiting = children.pop(None, [])[::-1]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += children.pop(one.pid, [])[::-1]
