"""What the page shows of a session."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

from proctree_kill import KillResult, SessionEvent, StopResult, TreeSnapshot

from ._rows import Row, parents_first, row_of

LINES = 200  # kept of a log
OVER = frozenset({"stopped", "exited", "recovered"})
"""The states after which nothing happens."""


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
        exit_code: that of an agent that ended by itself, negative for a signal.
        message: how it ended, as a sentence.
        result: the result of the task.
        question: the open question, with the schema of an answer.
        force_at: when force follows the request to exit, on the monotonic clock.
        forced: whether force was requested before that.
        left_behind: whether the tree is ended because the agent ended by itself.
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
    exit_code: int | None = None
    message: str | None = None
    result: str | None = None
    question: dict[str, Any] | None = None
    force_at: float | None = None
    forced: bool = False
    left_behind: bool = False
    rows: list[Row] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))

    @property
    def over(self) -> bool:
        """Whether the session has ended."""
        return self.state in OVER

    def add_event(self, event: SessionEvent, grace: float) -> None:
        """Update the state from an event of the manager."""
        self.events.append({"name": event.event, "at": event.at})
        self.pid = event.pid or self.pid
        if event.state == "stopping":
            self.begin_stop(grace)
            return
        self.state = "recovered" if event.event.endswith(".recovered") else event.state.value
        if self.state != "running":
            self.question = None  # no process waits for the answer any more

    def begin_stop(self, grace: float, *, left_behind: bool = False) -> None:
        """Show that the tree is being ended.

        Args:
            grace: the seconds from now until force is used.
            left_behind: whether the agent has ended by itself.
        """
        self.state, self.left_behind, self.forced = "stopping", left_behind, False
        self.force_at = time.monotonic() + grace
        self.question = self.message = None

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
        """Show a new snapshot; at the end of a session the processes that left it stay.

        Returns:
            Whether a row has changed.
        """
        is_ending = self.state == "stopping" or self.result is not None
        known = {row.pid: row for row in self.rows} if is_ending else {}
        rows = {
            member.identity.pid: row_of(member, known.get(member.identity.pid))
            for member in tree.members
        }
        fate = "gone" if self.state == "stopping" else "exited"
        absent = self._absent(rows, fate) if is_ending else []
        return self._show([*rows.values(), *absent])

    def close(self, kill: KillResult | None, message: str, absent: str = "gone") -> None:
        """Show what became of each process.

        Args:
            kill: what was done to the tree.
            message: how the session ended.
            absent: the fate of the processes that the kill did not meet.
        """
        words = message.removeprefix(f"session {self.id}: ")
        self.message = words[:1].upper() + words[1:]
        known = {row.pid: row for row in self.rows}
        outcomes = kill.outcomes if kill else ()
        rows = {
            found.identity.pid: row_of(found, known.get(found.identity.pid)) for found in outcomes
        }
        self._show([*rows.values(), *self._absent(rows, absent)])

    def close_exit(self, result: StopResult, code: int | None) -> None:
        """Show the end of an agent that ended by itself, and of what it left behind."""
        self.exit_code = code
        ended = "The agent ended by itself"
        if code is not None and code < 0:
            ended = f"The agent died of signal {-code}"
        elif code:
            ended += f" with exit code {code}"
        kill = result.kill
        left = [found for found in kill.outcomes if found.fate != "already_gone"] if kill else []
        count = f"{len(left)} process{'' if len(left) == 1 else 'es'}"
        if not result.success:
            rest = f"A process that it left behind is still alive: {result.error}"
        elif left:
            rest = f"It left {count} behind, and no process is left now"
        else:
            rest = "It left no process behind"
        self.close(kill, f"{ended}. {rest}.", "exited")
        for row in self.rows:
            if row.pid == self.pid:
                row.fate, row.seconds = "died" if code is not None and code < 0 else "exited", None

    def data(self) -> dict[str, Any]:
        """Return the card as JSON data. The clock of a browser may be another: no point in time."""
        left = None if self.force_at is None else max(0.0, self.force_at - time.monotonic())
        return asdict(self) | {"log": list(self.log), "over": self.over, "force_in": left}

    def _absent(self, found: dict[int, Row], fate: str) -> list[Row]:
        absent = [row for row in self.rows if row.pid not in found]
        for row in absent:
            row.fate = fate if row.fate in {None, "unknown", "gone"} else row.fate
        return absent

    def _show(self, rows: list[Row]) -> bool:
        before = [asdict(row) for row in self.rows]
        self.rows = list(parents_first(rows))
        return before != [asdict(row) for row in self.rows]
