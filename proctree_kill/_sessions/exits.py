"""One thread that notices the exits of all agents, and when their time is over."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from .._models.identity import ProcessIdentity
from .._running.threads import SIGNALS, blocking
from .._systems import current
from .._systems.contract import System
from .._systems.member import ALIVE, Member, is_same
from .timers import Timer

RECHECK = 60.0  # seconds; a process that got no descriptor is noticed by such a check only
RETRY = 0.1  # seconds between two tries of what fails for want of descriptors or memory

_log = logging.getLogger("proctree_kill")


class Watch(NamedTuple):
    """A process that is watched.

    Args:
        identity: the process.
        ended: called when it has ended.
        timer: what rings while it lives, if anything does.
    """

    identity: ProcessIdentity
    ended: Callable[[], object]
    timer: Timer | None


class ExitWatcher:
    """Calls a function when a process exits; its thread lives while a process is watched."""

    def __init__(self) -> None:
        """Watch no process yet."""
        self._changing = threading.Lock()
        self._new: list[Watch] = []
        self._system: System | None = None
        self._watched: dict[Member, Watch] = {}
        self._unbound: list[Watch] = []  # what could not be looked at yet

    def watch(
        self, identity: ProcessIdentity, ended: Callable[[], object], timer: Timer | None = None
    ) -> None:
        """Call a function, in the thread, when a process has ended; it is not reaped.

        Until then the timer rings in the thread, whenever it is due.
        """
        with self._changing:
            self._new.append(Watch(identity, ended, timer))
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
            for member in self._wait(system):
                watch = self._watched.pop(member)
                system.drop(member)
                _call_logged(watch.ended)
            now = system.now()
            for timer in self._timers():
                if timer.due <= now:
                    _call_logged(timer.ring, now)

    def _wait(self, system: System) -> list[Member]:
        """Wait until a process is dead, a timer is due, or a process is to be bound."""
        # The wait looks at each process as well: a heap would save little, and keep what is over.
        pause = RETRY if self._unbound else RECHECK
        until = min([system.now() + pause, *(timer.due for timer in self._timers())])
        try:
            return system.wait(list(self._watched), until)
        except OSError as error:  # descriptors and memory come back
            _log.debug("no exit of an agent can be waited for now: %s", error)
            time.sleep(RETRY)
            return []

    def _timers(self) -> list[Timer]:
        watches = [*self._watched.values(), *self._unbound]
        return [watch.timer for watch in watches if watch.timer is not None]

    def _bind_new(self) -> System | None:
        """Bind what is to be watched; return the system, or None once no process is watched."""
        again, self._unbound = self._unbound, []
        while True:
            with self._changing:
                new, self._new = [*again, *self._new], []
                system, again = self._system, []
                if system is None or not (new or self._unbound or self._watched):
                    self._close_system()
                    return None
            if not new:
                return system
            for watch in new:
                _call_logged(self._bind, system, watch)

    def _close_system(self) -> None:
        if self._system is not None:
            self._system.close()
            self._system = None

    def _bind(self, system: System, watch: Watch) -> None:
        """Begin to watch a process, now or later; call ``ended`` at once if it is gone."""
        try:
            member = system.bind(watch.identity.pid)
        except OSError:
            self._unbound.append(watch)
            return
        if member is not None:
            try:
                if is_same(member, watch.identity) is not False and member.state == ALIVE:
                    self._watched[member] = watch
                    return
            finally:
                if member not in self._watched:
                    system.drop(member)
        watch.ended()


def _call_logged(call: Callable[..., object], *args: object) -> None:
    try:
        call(*args)
    except Exception:  # noqa: BLE001 - the thread goes on to watch the other processes
        _log.exception("the exit or the timeout of a session could not be handled")
