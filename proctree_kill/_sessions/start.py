"""The start of one session: recorded first, watched afterwards, undone after an interrupt."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._containment.guard import KILL_ON_PARENT_EXIT
from .._models.errors import ContainmentError
from .._spawn.popen import TreePopen
from .._spawn.tree_cpu import idle_clock
from .models import SessionState
from .registry import Registry
from .session import ManagedSession, Session
from .stop import SessionStop
from .timers import Timer

if TYPE_CHECKING:
    from .._spawn.options import Command

_log = logging.getLogger("proctree_kill")


class SessionStart:
    """The start of a session. An interrupt does not shorten it but undoes it."""

    def __init__(
        self,
        registry: Registry,
        session: ManagedSession,
        command: Command,
        options: Mapping[str, Any],
    ) -> None:
        """Note a session that is not in the table yet, and what :class:`TreePopen` takes."""
        self._registry = registry
        self._session = session
        self._command = command
        self._options = options

    def run(self) -> Session[TreePopen[Any]]:
        """Start the agent; no process is left after an exception."""
        registry, session = self._registry, self._session
        try:
            registry.add(session)
            session.process = process = self._start_agent()
            session.set_running(process.identity, time.time())
            timer = self._timer(process)
            registry.announce(session, "started")
            session.end_start()  # from now on a stop may begin, and announce itself
            stop = SessionStop(session, registry, SessionState.EXITED)
            registry.watcher.watch(process.identity, stop.after_exit, timer)
        except BaseException:
            self.undo()
            raise
        return Session(session)

    def undo(self) -> None:
        """End what was started, if anything, at once."""
        self._session.end_start()
        if self._session.process is None:
            self._registry.remove(self._session)
            return
        stop = SessionStop(self._session, self._registry)
        stop.hurry()
        stop.run()

    def _timer(self, process: TreePopen[Any]) -> Timer | None:
        session, options, now = self._session, self._session.options, time.monotonic()
        if options.idle_timeout is not None:
            # A predicate is the caller's, and could block the thread that watches all agents.
            spare = None if callable(options.spare) else options.spare
            session.idle = idle_clock(process, options.idle_timeout, spare)
        elif options.max_lifetime is None:
            return None
        end = math.inf if options.max_lifetime is None else now + options.max_lifetime
        return Timer(end, session.idle, SessionStop(session, self._registry).time_out)

    def _start_agent(self) -> TreePopen[Any]:
        options = {KILL_ON_PARENT_EXIT: self._registry.guarded, **self._options}
        session = self._session
        try:
            return TreePopen(
                self._command,
                record=session.recording,
                spare=session.options.spare,
                **options,
            )
        except ContainmentError as error:
            if error.requested != KILL_ON_PARENT_EXIT or KILL_ON_PARENT_EXIT in self._options:
                raise
            self._registry.guarded = False
            _log.warning("sessions are recorded, but not guarded: %s", error.reason)
            return self._start_agent()
