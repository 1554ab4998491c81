"""Starting one tree: in a thread of its own, and ended again if anything is raised."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

from .._engine.kill import kill_tree
from .._models.errors import ProctreeKillError
from .._running import threads
from .._systems import current

if TYPE_CHECKING:
    from .._containment.containment import Containment
    from .._records.recording import Recording

RESERVE = 4
"""Descriptors that are held during a start, so that its tree can be ended when none is left."""
UNREADY = 0.01
"""Seconds between two looks for a root that is to be killed before it is the program."""

_os: Any = os  # what Windows has not, the type checkers know on POSIX only
_log = logging.getLogger("proctree_kill")


class Root(Protocol):
    """What stands for the root of a tree: a ``Popen``, which has these once it is started."""

    args: Any
    pid: int
    returncode: int | Any

    def kill_root(self) -> None:
        """Kill it by its number, and reap it; that needs no descriptor."""

    def close_pipes(self) -> None:
        """Close our ends of its pipes."""


class ProcessStart:
    """The start of one tree: a work that is not hurried but undone.

    Signal handlers run in the main thread only, so nothing interrupts the thread of a start.
    That thread stays while the root lives: the kernel sends a process its death signal when the
    *thread* ends that started it (PR_SET_PDEATHSIG, prctl(2)).
    """

    def __init__(
        self,
        process: Root,
        prepare: Callable[[], Containment],
        spawn: Callable[[Containment], None],
        recording: Recording | None,
        *,
        forks: bool,
    ) -> None:
        """Say what is to be done, in this order; nothing is done yet.

        Args:
            process: what will stand for the root.
            prepare: makes what contains it.
            spawn: starts it.
            recording: its intent and record.
            forks: whether the root may start others, or hang, before it is the program:
                it has a ``preexec_fn``.
        """
        self._process = process
        self._prepare = prepare
        self._spawn = spawn
        self._recording = recording
        self._forks = forks
        self._containment: Containment | None = None
        self._spawned = self._over = False

    def run(self) -> int:
        """Start the root and return its number; whatever is raised, no process is left."""
        process, recording = self._process, self._recording
        with ExitStack() as reserve:
            system = reserve.enter_context(current())
            for _ in range(RESERVE):
                reserve.callback(os.close, os.open(os.devnull, os.O_RDONLY))
            try:
                containment = self._containment = self._prepare()
                if recording is not None:
                    recording.announce(containment, process.args)
                    containment.also_remove(*recording.files)
                with containment.spawning():
                    self._spawn(containment)
                    self._spawned = True
                containment.attach_by(system, process, process.pid)
                if recording is not None:
                    recording.confirm(containment)
            except BaseException:
                self._over = True
                reserve.close()
                self.undo()
                raise
        return process.pid

    def hurry(self) -> None:
        """Kill a root that is no program yet, and so may hang; all else takes what it must."""
        while self._forks and not self._spawned and not self._over and not self._kill_unready():
            time.sleep(UNREADY)

    def _kill_unready(self) -> bool:
        """Kill a root whose preexec_fn runs; tell whether there was one."""
        pid = getattr(self._process, "pid", None)
        if pid is None:  # Popen knows it a moment after the fork
            return False
        with current() as system:
            root = system.bind(pid)
            # Popen reaps it only after it has ended; then the number may be another's.
            if root is None or root.ppid != os.getpid() or self._process.returncode is not None:
                return False
            system.kill([root], [])
        return True

    def undo(self) -> None:
        """End what was started, if anything was; the intent goes once all of it is known dead."""
        containment = self._containment
        if containment is None:
            return
        # Popen has no returncode before it begins, and one once it has reaped what is no program.
        begun = hasattr(self._process, "returncode")
        living = self._spawned or (begun and (self._forks or self._process.returncode is None))
        over = self._end(containment) if living else containment.release()
        if over and self._recording is not None:
            self._recording.forget()

    def _end(self, containment: Containment) -> bool:
        """End the tree at once, by its marker and cgroup where no number is known."""
        process = self._process
        started = self._spawned or getattr(process, "returncode", 0) is None
        started = started and getattr(process, "pid", None) is not None
        try:
            if started and containment.identity is None:
                containment.attach(process)
            return kill_tree(containment, grace=0).ok
        except (OSError, ProctreeKillError):
            _log.exception("what an interrupted start left is ended by its number alone")
            if started:
                process.kill_root()
            return False
        finally:
            with contextlib.suppress(OSError):  # the reader of what is still in a buffer is dead
                process.close_pipes()


def stay(pid: int) -> None:
    """Wait for the end of a child without reaping it, and without a descriptor."""
    if hasattr(os, "waitid"):
        with contextlib.suppress(OSError):  # it was reaped, or a filter forbids the call
            _os.waitid(_os.P_PID, pid, _os.WEXITED | _os.WNOWAIT)


def start(birth: ProcessStart) -> None:
    """Start a tree; an interrupt ends it before it is raised."""
    try:
        threads.run(birth, stay=stay)
    except BaseException:
        threads.do(birth.undo)
        raise
