"""The start of one tree, in a thread of its own; the tree is ended again if anything is raised."""

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
from .._systems.child_exit import ChildExit

if TYPE_CHECKING:
    from .._containment.containment import Containment
    from .._records.recording import Recording

RESERVED_DESCRIPTORS = 4  # held during a start, so that its tree can be ended when none is free
ROOT_POLL = 0.01  # seconds between looks for a root that is to be killed before its exec

_log = logging.getLogger("proctree_kill")


class Root(Protocol):
    """The root of a tree: a ``Popen``, which has these attributes once it is started."""

    args: Any
    pid: int
    returncode: int | Any

    def kill_root(self) -> None:
        """Kill the root by its number, and reap it; open no descriptor."""

    def close_pipes(self) -> None:
        """Close this process's ends of its pipes."""


class ProcessStart:
    """The start of one tree. An interrupt does not shorten it but undoes it.

    It runs in a thread of its own, because signal handlers run in the main thread only.
    """

    def __init__(
        self,
        process: Root,
        prepare: Callable[[], Containment],
        spawn: Callable[[Containment], None],
        recording: Recording | None,
        *,
        ended: ChildExit,
        has_preexec: bool,
    ) -> None:
        """Note what :meth:`start` calls, in this order; nothing is done yet.

        Args:
            process: the root.
            prepare: makes the containment.
            spawn: starts the root inside it.
            recording: its intent and record.
            ended: what waits for the end of the root; it is held by ``spawn``.
            has_preexec: whether the root has a ``preexec_fn``, which may hang or start processes.
        """
        self._process = process
        self._prepare = prepare
        self._spawn = spawn
        self._recording = recording
        self._ended = ended
        self._has_preexec = has_preexec
        self._containment: Containment | None = None
        self._spawned = self._over = False

    def start(self) -> None:
        """Start the tree; an interrupt ends it before it is raised."""
        ended = self._ended
        try:
            # PR_SET_PDEATHSIG (prctl(2)): the kernel sends a child its death signal when the
            # *thread* exits that started it, so the thread stays while the root lives.
            threads.run(self, stay=lambda _: ended.wait())  # it must not hold the root itself
        except BaseException:
            threads.do(self.undo)
            ended.close()
            raise

    def run(self) -> None:
        """Start the root; no process is left after an exception."""
        process, recording = self._process, self._recording
        with ExitStack() as reserve:
            system = reserve.enter_context(current())
            for _ in range(RESERVED_DESCRIPTORS):
                reserve.callback(os.close, os.open(os.devnull, os.O_RDONLY))
            try:
                containment = self._containment = self._prepare()
                if recording is not None:
                    recording.write_intent(containment, process.args)
                    containment.also_remove(*recording.files)
                with containment.spawning():
                    self._spawn(containment)
                    self._spawned = True
                containment.attach_by(system, process, process.pid)
                if recording is not None:
                    recording.write_record(containment)
            except BaseException:
                self._over = True
                reserve.close()
                self.undo()
                raise

    def hurry(self) -> None:
        """Kill a root whose ``preexec_fn`` may hang; no other part of a start can be shortened."""
        while self._has_preexec and not (self._spawned or self._over or self._kill_before_exec()):
            time.sleep(ROOT_POLL)

    def _kill_before_exec(self) -> bool:
        """Kill a root whose preexec_fn runs; return whether there was one."""
        pid = getattr(self._process, "pid", None)
        if pid is None:  # Popen sets it a moment after the fork
            return False
        with current() as system:
            root = system.bind(pid)
            # Once Popen has reaped it, the number may be another process's.
            if root is None or root.ppid != os.getpid() or self._process.returncode is not None:
                return False
            system.kill([root], [])
        return True

    def undo(self) -> None:
        """End what was started, if anything; remove the intent once all of it is known dead."""
        containment = self._containment
        if containment is None:
            return
        # Popen sets returncode to None before the fork, and to a code if the exec failed.
        # After a failed exec only a preexec_fn can have left processes behind.
        begun = hasattr(self._process, "returncode")
        may_live = self._spawned or (
            begun and (self._has_preexec or self._process.returncode is None)
        )
        ended = self._end(containment) if may_live else containment.release()
        if ended and self._recording is not None:
            self._recording.forget()

    def _end(self, containment: Containment) -> bool:
        """End the tree at once, by marker and cgroup alone where the root has no number yet."""
        process = self._process
        started = self._spawned or getattr(process, "returncode", 0) is None
        started = started and getattr(process, "pid", None) is not None
        try:
            if started and containment.identity is None:
                containment.attach(process)
            return kill_tree(containment, grace=0).ok
        except (OSError, ProctreeKillError):
            _log.exception("an interrupted start is ended by the number of its root alone")
            if started:
                process.kill_root()
            return False
        finally:
            with contextlib.suppress(OSError):  # buffered input has no reader any more
                process.close_pipes()
