"""What a fleet returns. Pure."""

from __future__ import annotations

from typing import Literal

from .._models.base import Model
from .._models.shown import Shown
from .._models.text import Row, Table, printable
from .._records.report import RecoveryReport
from .._sessions.models import SessionEvent, SessionState, StopResult


class FleetSession(Model):
    """A session of a fleet, as its scheduler knows it.

    Args:
        session_id: the session.
        host: the name of its machine.
        worker: the address of the worker process that started it.
        tool: the kind of its agent.
        state: its state; ``lost`` where the worker process ended without a word.
        pid: the root of its tree; None before it has started.
        started_at: seconds since the epoch, by the clock of its machine; None before its start.
    """

    session_id: str
    host: str
    worker: str
    tool: str
    state: SessionState
    pid: int | None = None
    started_at: float | None = None


class FleetEvent(SessionEvent):
    """An event of a session on one of the machines; ``TOOL.session.lost`` comes with its worker.

    Args:
        host: the name of the machine.
        worker: the address of the worker process.
    """

    host: str
    worker: str


class HostRecovery(Model):
    """The recovery on one machine.

    Args:
        host: its name.
        outcome: ``answered``, or ``unreachable`` where no worker process of it did so in time.
        report: what became of its records; None where it is unreachable.
        error: why it is unreachable or could not recover, or None.
    """

    host: str
    outcome: Literal["answered", "unreachable"]
    report: RecoveryReport | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it answered, and no process that should have ended lives."""
        return self.report is not None and self.report.ok


class FleetRecovery(Shown, Model):
    """The recovery on all machines of a fleet.

    Args:
        hosts: the recovery on each machine, by name.
    """

    hosts: tuple[HostRecovery, ...]

    @property
    def ok(self) -> bool:
        """Whether all machines answered, and no process that should have ended lives."""
        return all(host.ok for host in self.hosts)

    def summary(self) -> str:
        """Return the result in one line."""
        parts = [
            f"{printable(host.host)}: {host.report.summary() if host.report else host.error}"
            for host in self.hosts
        ]
        return "; ".join(parts) or "no host is there"

    def _table(self) -> Table:
        rows = []
        for host in self.hosts:
            name = printable(host.host)
            if host.report is None:
                rows.append(Row((name, "", "", "", host.outcome, host.error or ""), "red"))
                continue
            for record in host.report.outcomes:
                texts = (record.session_id, record.tool or "", str(record.pid or ""))
                cells = (name, *map(printable, texts), record.fate, printable(record.detail or ""))
                rows.append(Row(cells))
        heads = ("HOST", "SESSION", "TOOL", "PID", "OUTCOME", "DETAIL")
        return Table(heads, rows, text="DETAIL", optional=("TOOL",), counted="SESSION").compact()


def unreachable(session_id: str, reason: str) -> StopResult:
    """Return the result of a stop on a machine that did not answer."""
    return StopResult(
        success=False,
        session_id=session_id,
        method="unreachable",
        message=f"session {session_id}: {reason}",
        error=reason,
    )
