"""What the sessions of one manager have in common: a table, a folder, a watch, and a voice."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from .._models.errors import SessionError
from .._models.policy import KillPolicy
from .._records.format import (
    DEFAULT_TOOL,
    Entry,
    Intent,
    Record,
    UnreadableError,
    check_id,
    intent_path,
    parse,
    record_path,
)
from .._records.recording import Recording
from .._records.trusted_files import Opened, is_trusted
from .agent import Agent
from .events import EventQueue
from .exits import ExitWatcher
from .models import Happening, SessionEvent, SessionState, StopMethod

_log = logging.getLogger("proctree_kill")


class Registry:
    """One table of sessions.

    It is read and changed in single steps of the interpreter, without a lock: a signal handler
    may ask for it in the middle of a change.
    """

    def __init__(
        self, folder: Path, policy: KillPolicy, queue: EventQueue, *, guarded: bool
    ) -> None:
        """Begin with an empty table."""
        self.guarded = guarded
        self.folder = folder
        self.policy = policy
        self.queue = queue
        self.watcher = ExitWatcher()
        self._table: dict[str, Agent] = {}
        self._closed = False

    def agents(self) -> dict[str, Agent]:
        """Return everybody who is there now."""
        return self._table.copy()

    def open(self) -> None:
        """Let sessions be started."""
        self._closed = False

    def close(self) -> dict[str, Agent]:
        """Let no session be started any more; return who is there."""
        self._closed = True
        return self._table.copy()

    def new(self, session_id: str, tool: str) -> Agent:
        """Return a session that is not in the table yet.

        Raises:
            SessionError: its id or its tool cannot be.
        """
        check_id(session_id)
        if not (tool and tool.isprintable()):
            raise SessionError(session_id, f"a tool is a name, not {tool!r}")
        return Agent(session_id, tool, Recording(record_path(self.folder, session_id), tool))

    def enter(self, agent: Agent) -> None:
        """Put a session that is about to start into the table.

        Raises:
            SessionError: it is there already, or all is closed.
        """
        known = self._table.setdefault(agent.session_id, agent)
        if known is not agent:
            raise SessionError(agent.session_id, f"it is there already, and {known.state}")
        if self._closed:  # asked after it was entered, so that one of the two sees the other
            self.dismiss(agent)
            reason = "the manager was left and starts nothing any more"
            raise SessionError(agent.session_id, reason)

    def find(self, session_id: str) -> Agent | None:
        """Return a session by the table, else by its record; None where there is neither.

        Raises:
            SessionError: it cannot be an id.
        """
        check_id(session_id)
        if (known := self._table.get(session_id)) is not None:
            return known
        path = self.entry_path(session_id)
        if path is None:
            return None
        return self._table.setdefault(session_id, _recalled(session_id, path))

    def entry_path(self, session_id: str) -> Path | None:
        """Return the record of a session, or its intent; None where there is neither.

        An untrusted record hides no intent.
        """
        record = record_path(self.folder, session_id)
        found = [path for path in (record, intent_path(record)) if os.path.lexists(path)]
        return next(filter(is_trusted, found), next(iter(found), None))

    def dismiss(self, agent: Agent) -> None:
        """Take a session that is over out of the table."""
        if self._table.get(agent.session_id) is agent:  # no other takes its place while it is there
            self._table.pop(agent.session_id, None)

    def tell(
        self,
        agent: Agent,
        happening: Happening,
        *,
        method: StopMethod | None = None,
        error: str | None = None,
    ) -> None:
        """Broadcast and log what happened to a session."""
        pid = None if agent.identity is None else agent.identity.pid
        self.announce(
            agent.session_id, agent.tool, happening, agent.state, pid, method=method, error=error
        )

    def announce(
        self,
        session_id: str,
        tool: str,
        happening: Happening,
        state: SessionState,
        pid: int | None,
        *,
        method: StopMethod | None = None,
        error: str | None = None,
    ) -> None:
        """Broadcast and log what happened to a session that need not be in the table."""
        event = SessionEvent(
            event=f"{tool}.session.{happening}",
            session_id=session_id,
            tool=tool,
            state=state,
            pid=pid,
            method=method,
            error=error,
            at=time.time(),
        )
        words = f": {error}" if error else ""
        _log.info("session %s %s%s", session_id, happening, words, extra={"session_id": session_id})
        self.queue.tell(event)


def _recalled(session_id: str, path: Path) -> Agent:
    """Return a session by what its record says, as far as that can be read."""
    entry: Entry | None = None
    try:
        with Opened(path) as opened:
            entry = None if opened.untrusted else parse(path, opened.data)
    except (OSError, UnreadableError):  # the stop that follows says so
        entry = None
    if not isinstance(entry, Intent):
        agent = Agent(session_id, DEFAULT_TOOL)
        agent.recalled(None, None)
        return agent
    agent = Agent(session_id, entry.tool)
    agent.recalled(entry.identity if isinstance(entry, Record) else None, entry.created_at)
    return agent
