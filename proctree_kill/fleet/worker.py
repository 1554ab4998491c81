"""The part of a fleet in each worker process: a session manager."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from functools import partial
from itertools import count

from .._models.errors import FleetError, SessionError, UnreachableError
from .._models.usage import Usage
from .._records.report import RecoveryReport
from .._running import loops
from .._sessions.manager import OVER, SessionManager
from .._sessions.models import SessionEvent, StopResult
from .engine import (
    ANSWER_TIME,
    NAME,
    SCHEDULER,
    Call,
    Settings,
    Worker,
    WorkerPlugin,
    answer,
    ask,
    loads,
)

AGAIN = 0.1  # seconds until an event is told again to a scheduler that did not answer
LAST_ANSWERS = 1.0  # seconds that the end of a worker process waits for its answers to be sent

_log = logging.getLogger("proctree_kill")


class WorkerSessions(WorkerPlugin):
    """Starts and stops the sessions of one worker process, and tells the scheduler of them."""

    name = NAME

    def __init__(self, settings: Settings) -> None:
        """Note the settings; this object travels to the workers."""
        self._settings = settings

    async def setup(self, worker: Worker) -> None:
        """End what dead owners left on this machine, then take sessions."""
        self._worker = worker
        self._host = socket.gethostname()
        self._numbers = count(time.time_ns())  # above those of another process at this address
        self._leaves = False
        self._answers: set[asyncio.Future[None]] = set()  # of calls under way
        directory, policy = self._settings
        self._manager = SessionManager(directory, policy=policy, event_broadcaster=self._tell)
        self._calls: dict[str, Call] = {
            "ping": self._ping,
            "spawn": self._spawn,
            "stop": self._stop,
            "stop_all": self._stop_all,
            "recover": self._recover,
            "usage": self._usage,
            "touch": self._touch,
        }
        await self._manager.__aenter__()  # teardown() leaves it
        worker.handlers[NAME] = self.handle
        losses = await self._report("losses")
        report = await self._manager.arecover()
        if not self._leaves:
            await self._report("ready", host=self._host, kept=_kept(report), losses=losses)

    async def teardown(self, worker: Worker) -> None:
        """Stop all sessions; another stop of them is answered meanwhile."""
        self._leaves = True
        leaving = asyncio.ensure_future(self._leave())
        try:
            await self._manager.__aexit__()
        finally:
            leaving.cancel()  # a lost scheduler does not hold it up
            if self._answers:
                await asyncio.wait(self._answers, timeout=LAST_ANSWERS)
            worker.handlers.pop(NAME, None)

    async def handle(self, call: str, data: bytes) -> bytes:
        """Do what the scheduler asks."""
        answered = asyncio.get_running_loop().create_future()
        self._answers.add(answered)
        try:
            return await answer(self._calls, call, data)
        finally:
            self._answers.discard(answered)
            answered.set_result(None)

    async def _ping(self) -> None:
        """Show that this process answers."""

    async def _spawn(self, session_id: str, token: int, payload: bytes) -> None:
        try:
            # A request that waited in a stopped process may be out of date: it starts nothing.
            if not await self._report("claim", session_id=session_id, token=token):
                reason = "its start was given up: this host did not answer, or leaves"
                raise SessionError(session_id, reason)  # noqa: TRY301 - the release is harmless
            cmd, options = loads(payload)
            await self._manager.aspawn_agent(session_id, cmd, **options)
        except BaseException as error:
            # The reply frees the id as well, where the scheduler still waits for it.
            with contextlib.suppress(FleetError):
                await self._report("release", session_id=session_id, token=token)
            if isinstance(error, UnreachableError):  # of the scheduler: nothing was started
                raise FleetError(error.address, error.reason) from None
            raise
        await self._flush()

    async def _stop(self, session_id: str) -> StopResult:
        result = await self._manager.astop_agent(session_id)
        await self._flush()
        return result

    async def _stop_all(self) -> dict[str, StopResult]:
        results = await self._manager.astop_all()
        await self._flush()
        return results

    async def _recover(self, *, dry_run: bool, bare: bool) -> RecoveryReport:
        losses = await self._report("losses")
        report = await self._manager.arecover(dry_run=dry_run, bare=bare)
        await self._flush()
        if not dry_run:
            await self._report("recovered", host=self._host, kept=_kept(report), losses=losses)
        return report

    async def _usage(self, session_id: str) -> Usage:
        return await loops.do(partial(self._manager.usage, session_id))  # it may read a whole tree

    async def _touch(self, session_id: str) -> None:
        session = self._manager.sessions.get(session_id)
        if session is None:
            raise SessionError(session_id, "not found on its worker process")
        session.touch()

    async def _leave(self) -> None:
        with contextlib.suppress(FleetError):
            await self._report("leave")

    async def _flush(self) -> None:
        """Wait until the scheduler knows all events, so that a caller sees what it has done."""
        queue = self._manager._queue  # noqa: SLF001 - of this library
        await loops.do(partial(queue.flush, ANSWER_TIME))

    async def _tell(self, event: SessionEvent) -> None:
        number = next(self._numbers)
        while True:
            try:
                await self._report("event", host=self._host, number=number, event=event)
            except FleetError as error:
                # A scheduler that hangs learns of it when it runs again.
                if isinstance(error, UnreachableError) and not self._leaves:
                    await asyncio.sleep(AGAIN)
                    continue
                _log.warning("%s was lost: %s", event.event, error)
            return

    async def _report(self, call: str, **arguments: object) -> int:
        worker = self._worker
        told: int = await ask(
            worker.scheduler, SCHEDULER, ANSWER_TIME, call, worker=worker.address, **arguments
        )
        return told


def _kept(report: RecoveryReport) -> list[str]:
    """Return the sessions whose records are left: their processes may live."""
    return [outcome.session_id for outcome in report.outcomes if outcome.fate not in OVER]
