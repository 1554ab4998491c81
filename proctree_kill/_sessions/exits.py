"""One thread that notices the ends of all agents."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from .._models.identity import ProcessIdentity
from .._systems import current
from .._systems.contract import System
from .._systems.member import ALIVE, Member, identity_of

LOOK = 60.0
"""Seconds after which everybody is looked at: for some there may have been no descriptor left."""

_log = logging.getLogger("proctree_kill")


class ExitWatcher:
    """Sleeps until a process ends; the thread is there while somebody is watched, no longer."""

    def __init__(self) -> None:
        """Begin without a thread."""
        self._changing = threading.Lock()
        self._tasks: list[Callable[[System], object]] = []
        self._system: System | None = None
        self._watched: dict[Member, Callable[[], object]] = {}

    def watch(self, identity: ProcessIdentity, ended: Callable[[], object]) -> None:
        """Have something called, in the thread, when a process has ended; it is not reaped."""
        self._do(lambda system: self._bind(system, identity, ended))

    def _do(self, task: Callable[[System], object]) -> None:
        """Leave a task to the thread, and wake or start it."""
        with self._changing:
            self._tasks.append(task)
            if self._system is not None:
                self._system.hurry()
                return
            try:
                self._system = current()
            except BaseException:
                self._tasks.pop()
                raise
            thread = threading.Thread(target=self._run, name="proctree_kill watch", daemon=True)
            try:
                thread.start()
            except BaseException:
                self._tasks.pop()
                self._rest()
                raise

    def _run(self) -> None:
        """Do tasks and wait, until neither is left."""
        while (system := self._next()) is not None:
            dead = system.wait(list(self._watched), time.monotonic() + LOOK)
            for one in dead:
                ended = self._watched.pop(one)
                system.drop(one)
                _guarded(ended)

    def _next(self) -> System | None:
        """Do what was left to us; return the system, or None once nobody is watched."""
        while True:
            with self._changing:
                tasks, self._tasks = self._tasks, []
                system = self._system
                if system is None or not (tasks or self._watched):
                    self._rest()
                    return None
            if not tasks:
                return system
            for task in tasks:
                _guarded(partial(task, system))

    def _rest(self) -> None:
        """Give the system back, under the lock."""
        if self._system is not None:
            self._system.close()
            self._system = None

    def _bind(self, system: System, identity: ProcessIdentity, ended: Callable[[], object]) -> None:
        """Take hold of a process, in the thread; one that is gone has ended."""
        one = system.bind(identity.pid)
        if one is not None:
            try:
                if _is_alive(one, identity):
                    self._watched[one] = ended
                    return
            finally:
                if one not in self._watched:
                    system.drop(one)
        ended()


def _is_alive(one: Member, identity: ProcessIdentity) -> bool:
    """Tell whether it is the process that was meant, as far as can be known, and lives."""
    same = identity.same_process(identity_of(one))
    return one.state == ALIVE and same is not False


def _guarded(act: Callable[[], object]) -> None:
    """Do something that must not end the thread."""
    try:
        act()
    except Exception:  # noqa: BLE001 - the others must be watched all the same
        _log.exception("a session could not be looked after")
