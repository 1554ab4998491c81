"""Which session is where. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count

from .._models.errors import FleetError, SessionError
from .._sessions.models import SessionEvent, SessionState
from .models import FleetSession

REMEMBERED = 1024  # ids of sessions that have ended; then the oldest is forgotten


class Entry:
    """A session in the table.

    Attributes:
        token: tells its start from others of the same id.
        claimed: whether its worker has begun to start it.
        loss: which of all losses took its worker process, or None; another of its machine may
            end it.
    """

    def __init__(self, session: FleetSession, token: int) -> None:
        """Begin before the start."""
        self.session = session
        self.token = token
        self.claimed = False
        self.loss: int | None = None

    @property
    def is_lost(self) -> bool:
        """Whether its worker process is gone."""
        return self.loss is not None

    def change(self, **facts: object) -> None:
        """Change facts of the session."""
        self.session = self.session.model_copy(update=facts)

    def how_ended(self) -> str:
        """Return what is known of its end."""
        if not self.is_lost:
            return "it has ended already"
        return f"it was lost with {self.session.worker}, and {self.session.host} has recovered"


class SessionTable:
    """The sessions of a fleet by their ids, and its worker processes that are ready.

    Attributes:
        hosts: the name of the machine of each worker process, by its address.
        silent: the worker processes that did not answer; they start nothing unless told to.
        losses: how many worker processes were lost so far.
    """

    def __init__(self) -> None:
        """Begin without sessions."""
        self.hosts: dict[str, str] = {}
        self.silent: set[str] = set()
        self.losses = 0
        self._entries: dict[str, Entry] = {}
        self._load: Counter[str] = Counter()
        self._ended: dict[str, str] = {}  # what is known of each
        self._tokens = count()

    def __iter__(self) -> Iterator[FleetSession]:
        return (entry.session for entry in self._entries.values())

    def entries(self) -> list[Entry]:
        """Return all sessions."""
        return list(self._entries.values())

    def find(self, session_id: str) -> Entry | None:
        """Return a session."""
        return self._entries.get(session_id)

    def ended(self, session_id: str) -> str | None:
        """Return how a session ended, if it is one of the last that did."""
        return self._ended.get(session_id)

    def reserve(self, session_id: str, tool: str, host: str | None) -> Entry:
        """Take an id for a start on a machine or a worker process, by default the emptiest.

        Raises:
            SessionError: the id is in use.
            FleetError: no such worker process is ready.
        """
        if (known := self._entries.get(session_id)) is not None:
            where = f"it is there already, and {known.session.state} on {known.session.host}"
            raise SessionError(session_id, where)
        worker = self._emptiest(host)
        session = FleetSession(
            session_id=session_id,
            host=self.hosts[worker],
            worker=worker,
            tool=tool,
            state=SessionState.STARTING,
        )
        entry = self._entries[session_id] = Entry(session, next(self._tokens))
        self._load[worker] += 1
        return entry

    def claim(self, session_id: str, token: int, worker: str) -> bool:
        """Let a worker begin a start; return False where the start was given up, or it leaves."""
        entry = self._entries.get(session_id)
        if entry is None or entry.token != token or worker not in self.hosts:
            return False
        entry.claimed = True
        return True

    def release(self, session_id: str, token: int) -> None:
        """Free the id of a start that has failed."""
        entry = self._entries.get(session_id)
        if entry is not None and entry.token == token:
            self._remove(session_id)

    def apply(self, event: SessionEvent, worker: str) -> None:
        """Change a session after an event on a worker."""
        entry = self._entries.get(event.session_id)
        if entry is None or (entry.session.worker != worker and not entry.is_lost):
            return
        if event.state in (SessionState.STOPPED, SessionState.EXITED):
            self.end(event.session_id)
        elif entry.session.state is SessionState.STARTING:
            entry.change(state=event.state, pid=event.pid, started_at=event.at)
        else:
            entry.change(state=event.state)

    def leave(self, worker: str) -> None:
        """Note that a worker process starts nothing any more; it still has its sessions."""
        self.hosts.pop(worker, None)
        self.silent.discard(worker)

    def lose(self, worker: str) -> list[FleetSession]:
        """Note that a worker process is lost; return the sessions that are lost with it."""
        self.leave(worker)
        self.losses += 1
        lost = []
        for entry in self._entries.values():
            if entry.session.worker == worker and entry.claimed and not entry.is_lost:
                entry.loss = self.losses
                entry.change(state=SessionState.LOST)
                lost.append(entry.session)
        return lost

    def ready(self, worker: str, host: str, kept: Iterable[str], losses: int) -> list[FleetSession]:
        """Note that a worker process takes sessions, and has recovered its machine.

        Returns:
            As :meth:`recovered`.
        """
        self.hosts[worker] = host
        self.silent.discard(worker)
        return self.recovered(host, kept, losses)

    def recovered(self, host: str, kept: Iterable[str], losses: int) -> list[FleetSession]:
        """Note that a machine was recovered.

        Args:
            host: its name.
            kept: the sessions whose records are left.
            losses: those before the records were listed; a later one may have left more records.

        Returns:
            The lost sessions of the machine that have ended: no record of them is kept.
        """
        kept = {*kept}
        ended = [
            entry.session
            for session_id, entry in self._entries.items()
            if entry.loss is not None
            and entry.loss <= losses
            and entry.session.host == host
            and session_id not in kept
        ]
        for session in ended:
            self.end(session.session_id)
        return ended

    def end(self, session_id: str) -> None:
        """Free the id of a session that has ended."""
        known = self._entries[session_id].how_ended()
        self._remove(session_id)
        self._ended.pop(session_id, None)
        self._ended[session_id] = known
        for oldest in list(self._ended)[:-REMEMBERED]:
            del self._ended[oldest]

    def on_host(self, host: str) -> list[str]:
        """Return the addresses of the worker processes of a machine."""
        return [worker for worker, name in self.hosts.items() if name == host]

    def is_busy(self, worker: str) -> bool:
        """Whether a worker process has sessions."""
        return self._load[worker] > 0

    def _emptiest(self, host: str | None) -> str:
        workers = [
            worker for worker, name in self.hosts.items() if host is None or host in (worker, name)
        ]
        if not workers:
            known = ", ".join(sorted({*self.hosts, *self.hosts.values()})) or "none"
            raise FleetError(host or "the fleet", f"no such host is ready; those that are: {known}")
        return min(workers, key=lambda worker: (worker in self.silent, self._load[worker]))

    def _remove(self, session_id: str) -> None:
        self._load[self._entries.pop(session_id).session.worker] -= 1
