"""One thread that notices the exits of all agents."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from .._models.identity import ProcessIdentity
from .._running.threads import SIGNALS, blocking
from .._systems import current
from .._systems.contract import System
from .._systems.member import ALIVE, Member, is_same

RECHECK = 60.0  # seconds; a process that got no descriptor is noticed by such a check only

_log = logging.getLogger("proctree_kill")


class ExitWatcher:
    """Calls a function when a process exits; its thread lives while a process is watched."""

    def __init__(self) -> None:
        """Watch no process yet."""
        self._changing = threading.Lock()
        self._new: list[tuple[ProcessIdentity, Callable[[], object]]] = []
        self._system: System | None = None
        self._watched: dict[Member, Callable[[], object]] = {}

    def watch(self, identity: ProcessIdentity, ended: Callable[[], object]) -> None:
        """Call a function, in the thread, when a process has ended; it is not reaped."""
        with self._changing:
            self._new.append((identity, ended))
            if self._system is not None:
                self._system.hurry()
                return
            try:
                self._system = current()
                thread = threading.Thread(target=self._run, name="proctree_kill watch", daemon=True)
                with blocking(SIGNALS):
                    thread.start()
            except BaseException:
                self._new.pop()
                self._close_system()
                raise

    def _run(self) -> None:
        while (system := self._bind_new()) is not None:
            for member in system.wait(list(self._watched), time.monotonic() + RECHECK):
                ended = self._watched.pop(member)
                system.drop(member)
                _call_logged(ended)

    def _bind_new(self) -> System | None:
        """Bind what is to be watched; return the system, or None once no process is watched."""
        while True:
            with self._changing:
                new, self._new = self._new, []
                system = self._system
                if system is None or not (new or self._watched):
                    self._close_system()
                    return None
            if not new:
                return system
            for identity, ended in new:
                _call_logged(self._bind, system, identity, ended)

    def _close_system(self) -> None:
        if self._system is not None:
            self._system.close()
            self._system = None

    def _bind(self, system: System, identity: ProcessIdentity, ended: Callable[[], object]) -> None:
        """Begin to watch a process; call ``ended`` at once if it is gone."""
        member = system.bind(identity.pid)
        if member is not None:
            try:
                if is_same(member, identity) is not False and member.state == ALIVE:
                    self._watched[member] = ended
                    return
            finally:
                if member not in self._watched:
                    system.drop(member)
        ended()


def _call_logged(call: Callable[..., object], *args: object) -> None:
    try:
        call(*args)
    except Exception:  # noqa: BLE001 - the thread goes on to watch the other processes
        _log.exception("the exit of a session could not be handled")
