"""What the sessions of one manager share: the table, the folder of records, events, the watcher."""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path

from .._models.errors import SessionError
from .._models.policy import KillPolicy
from .._records.files import may_exist
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
from .events import EventQueue
from .exits import ExitWatcher
from .models import EventKind, SessionEvent, SessionState, StopMethod, TimeoutReason
from .session import ManagedSession, StopOptions

REMEMBERED = 1024  # ids of sessions that have ended; then the oldest is forgotten

_log = logging.getLogger("proctree_kill")


class Registry:
    """The sessions of one manager, by their ids.

    Each access to the table is one atomic step of the interpreter, and takes no lock:
    a signal handler may call any method while it interrupts another.
    """

    def __init__(
        self, folder: Path, policy: KillPolicy, queue: EventQueue, *, guarded: bool
    ) -> None:
        """Begin without sessions."""
        self.guarded = guarded
        self.folder = folder
        self.policy = policy
        self.queue = queue
        self.watcher = ExitWatcher()
        self._table: dict[str, ManagedSession] = {}
        self._ended: dict[str, None] = {}  # an ordered set
        self._closed = False

    def sessions(self) -> dict[str, ManagedSession]:
        """Return the current sessions."""
        return self._table.copy()

    def open(self) -> None:
        """Allow starts."""
        self._closed = False

    def close(self) -> dict[str, ManagedSession]:
        """Refuse starts from now on; return the current sessions."""
        self._closed = True
        return self._table.copy()

    def new(self, session_id: str, tool: object, options: StopOptions) -> ManagedSession:
        """Return a session that is not in the table yet.

        Raises:
            SessionError: its id or its tool is not valid.
        """
        check_id(session_id)
        name = check_tool(session_id, tool)
        recording = Recording(record_path(self.folder, session_id), name)
        return ManagedSession(session_id, name, recording, options)

    def add(self, session: ManagedSession) -> None:
        """Put a session into the table before its start.

        Raises:
            SessionError: the id is in use, or starts are refused.
        """
        known = self._table.setdefault(session.session_id, session)
        if known is not session:
            raise SessionError(session.session_id, f"it is there already, and {known.state}")
        if self._closed:  # after the table: either close() sees the session, or this sees the close
            self.remove(session)
            reason = "the manager was left and starts nothing any more"
            raise SessionError(session.session_id, reason)

    def find(self, session_id: str) -> ManagedSession | None:
        """Return a session from the table, else by its record; None where there is neither.

        Raises:
            SessionError: the id is not valid.
        """
        check_id(session_id)
        if (known := self._table.get(session_id)) is not None:
            return known
        path = self.entry_path(session_id)
        if path is None:
            return None
        return self._table.setdefault(session_id, _from_entry(session_id, path))

    def entry_path(self, session_id: str) -> Path | None:
        """Return the path of a session's record, or of its intent; None where there is neither.

        In a folder that cannot be searched there may be one: a read of it says why not.
        """
        record = record_path(self.folder, session_id)
        found = [path for path in (record, intent_path(record)) if may_exist(path)]
        # A trusted intent comes before an untrusted record.
        return next(filter(is_trusted, found), next(iter(found), None))

    def note_ended(self, session_id: str) -> None:
        """Remember that a session has ended, so that another stop of it is no error."""
        self._ended.pop(session_id, None)
        self._ended[session_id] = None
        for oldest in list(self._ended)[:-REMEMBERED]:
            self._ended.pop(oldest, None)

    def has_ended(self, session_id: str) -> bool:
        """Whether one of the last sessions that have ended had this id."""
        return session_id in self._ended

    def remove(self, session: ManagedSession) -> None:
        """Take a session out of the table."""
        # Two steps are safe: no other session takes the id while this one is there.
        if self._table.get(session.session_id) is session:
            self._table.pop(session.session_id, None)

    def announce(
        self,
        session: ManagedSession,
        kind: EventKind,
        *,
        method: StopMethod | None = None,
        error: str | None = None,
        reason: TimeoutReason | None = None,
    ) -> None:
        """Log and broadcast an event of a session."""
        self.send(
            session.session_id,
            session.tool,
            kind,
            session.state,
            None if session.identity is None else session.identity.pid,
            method=method,
            error=error,
            reason=reason,
        )

    def send(
        self,
        session_id: str,
        tool: str,
        kind: EventKind,
        state: SessionState,
        pid: int | None,
        *,
        method: StopMethod | None,
        error: str | None,
        reason: TimeoutReason | None = None,
    ) -> None:
        """Log and broadcast an event of a session that may be in no table."""
        event = SessionEvent(
            event=f"{tool}.session.{kind}",
            session_id=session_id,
            tool=tool,
            state=state,
            pid=pid,
            method=method,
            error=error,
            reason=reason,
            at=time.time(),
        )
        detail = f": {error or reason}" if error or reason else ""
        _log.info("session %s %s%s", session_id, kind, detail, extra={"session_id": session_id})
        self.queue.send(event)


def check_tool(session_id: str, tool: object) -> str:
    """Return a tool.

    Raises:
        SessionError: it is not valid.
    """
    if not (isinstance(tool, str) and tool and tool.isprintable()):
        raise SessionError(session_id, f"a tool is a name, not {tool!r}")
    return tool


def _from_entry(session_id: str, path: Path) -> ManagedSession:
    """Return a session that another process started, with what its record or intent says."""
    entry: Entry | None = None
    # The stop that follows reads it again, and reports what is wrong with it.
    with contextlib.suppress(OSError, UnreadableError), Opened(path) as opened:
        entry = None if opened.untrusted else parse(path, opened.data)
    known = entry if isinstance(entry, Intent) else None
    session = ManagedSession(session_id, known.tool if known else DEFAULT_TOOL)
    identity = known.identity if isinstance(known, Record) else None
    session.set_running(identity, known.created_at if known else None)
    session.end_start()
    return session
