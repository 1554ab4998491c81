"""Starting one session: recorded first, watched from its birth, and undone if it is interrupted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._containment.guard import KILL_ON_PARENT_EXIT
from .._models.errors import ContainmentError
from .._spawn.popen import TreePopen
from .agent import Agent, Session
from .registry import Registry
from .stop import SessionStop, leave

if TYPE_CHECKING:
    from .._spawn.options import Command

_log = logging.getLogger("proctree_kill")


class SessionStart:
    """The start of a session: it cannot be hurried, but undone."""

    def __init__(
        self,
        registry: Registry,
        agent: Agent,
        command: Command,
        options: Mapping[str, Any],
    ) -> None:
        """Say what is to be started.

        Args:
            registry: whose session it is.
            agent: the session, not in the table yet.
            command: what to run.
            options: what Popen takes.
        """
        self._registry = registry
        self._agent = agent
        self._command = command
        self._options = options

    def run(self) -> Session:
        """Start it; whatever is raised, no process is left."""
        try:
            self._registry.enter(self._agent)
            self._spawn()
        except BaseException:
            self.undo()
            raise
        return Session(self._agent)

    def undo(self) -> None:
        """Take back what was started: end its process, if there is one, at once."""
        self._agent.settle()
        if self._agent.process is None:
            self._registry.dismiss(self._agent)
            return
        stop = SessionStop(self._agent, self._registry)
        stop.hurry()
        stop.run()

    def _start(self) -> TreePopen[Any]:
        """Start the process, watched over by the guard where one is to be had."""
        options = {KILL_ON_PARENT_EXIT: self._registry.guarded, **self._options}
        try:
            return TreePopen(self._command, record=self._agent.recording, **options)
        except ContainmentError as error:
            if error.requested != KILL_ON_PARENT_EXIT or KILL_ON_PARENT_EXIT in self._options:
                raise
            self._registry.guarded = False
            _log.warning("sessions are recorded, but not guarded: %s", error.reason)
            return self._start()

    def _spawn(self) -> None:
        """Start the process, and have its end noticed."""
        registry, agent = self._registry, self._agent
        agent.process = self._start()
        agent.started()
        registry.tell(agent, "started")
        agent.settle()
        registry.watcher.watch(agent.process.identity, lambda: leave(agent, registry))
