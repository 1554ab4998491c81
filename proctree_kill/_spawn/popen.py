"""TreePopen: subprocess.Popen for a whole tree."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, AnyStr, Literal, Self, overload

from .._containment.containment import Containment, Requested
from .._engine import markers
from .._engine.kill import akill_tree, kill_tree, signal_tree, snapshot_tree
from .._engine.process import ExitWaiter
from .._engine.spare import texts_of
from .._engine.target import Aim, Contained
from .._models.errors import TargetRefusedError
from .._models.exit_code import LOST, UNKNOWN, known
from .._models.identity import ProcessIdentity
from .._models.result import Fate, KillResult
from .._models.tree import TreeSnapshot
from .._models.usage import Usage
from .._records.recording import Recording
from .._running import threads
from .._systems import child_exit
from .._systems.pid import peek
from .._systems.scarcity import retry
from .idle import check_timeout
from .leftovers import LINGER, Choice, Leftovers, Rest
from .signature import check_names, options_of
from .start import ProcessStart

if TYPE_CHECKING:
    from typing import Unpack

    from .._engine.spare import Spare
    from .._models.limits import LimitChanges, Limits
    from .options import Command, KillOptions, Place, TreeOptions

FORCE = getattr(signal, "SIGKILL", signal.SIGTERM)
KILLS_BY_NUMBER = (os.killpg, os.kill) if hasattr(os, "killpg") else (os.kill,)
KILLED_WITHIN = 5.0  # seconds; a bound for the death of a root that was killed by its number

_log = logging.getLogger("proctree_kill")


class TreePopen(subprocess.Popen[AnyStr], Contained):
    """A ``subprocess.Popen`` for the root of a tree, which can end the whole tree.

    The root leads its own session (on Windows its own process group in the console).
    All members inherit a marker in their environment.
    Where the kernel offers a cgroup or a job object, they also stay in that.
    So children, orphans and daemons are found whatever happens to their parents.
    ``poll`` and ``wait`` look for remaining members before they reap the root.
    The end of the ``with`` block waits for the root, as Popen's does.
    The rest then has ``linger`` to leave by itself, and is ended.
    An exception in the block ends the tree at once.
    Garbage collection never kills: it warns, as Popen's does.

    Attributes:
        containment: the :class:`Containment`: what keeps the tree together, and what was requested.
    """

    containment: Containment

    # fmt: off
    @overload
    def __init__(self: TreePopen[str], args: Command, *, text: Literal[True],
                 encoding: str | None = None, errors: str | None = None,
                 **options: Unpack[TreeOptions]) -> None: ...
    @overload
    def __init__(self: TreePopen[str], args: Command, *, text: bool | None = None,
                 encoding: str, errors: str | None = None,
                 **options: Unpack[TreeOptions]) -> None: ...
    @overload
    def __init__(self: TreePopen[str], args: Command, *, text: bool | None = None,
                 encoding: str | None = None, errors: str,
                 **options: Unpack[TreeOptions]) -> None: ...
    @overload
    def __init__(self: TreePopen[bytes], args: Command, *, text: Literal[False] | None = None,
                 encoding: None = None, errors: None = None,
                 **options: Unpack[TreeOptions]) -> None: ...
    @overload
    def __init__(self: TreePopen[Any], args: Command, *, text: bool | None,
                 encoding: str | None = None, errors: str | None = None,
                 **options: Unpack[TreeOptions]) -> None: ...
    # fmt: on

    def __init__(
        self,
        args: Command,
        *,
        containment: Requested = "auto",
        kill_on_parent_exit: bool = False,
        limits: Limits | None = None,
        record: Place = None,
        leftovers: Choice = "end",
        linger: float = LINGER,
        spare: Spare | None = None,
        env: Mapping[Any, Any] | None = None,
        process_group: int | None = None,
        start_new_session: bool | None = None,
        **popen: Any,
    ) -> None:
        """Start the root.

        Args:
            args: the program and its arguments, as for ``subprocess.Popen``.
            containment: ``"auto"`` (default) takes the best that this machine allows;
                ``"session"`` takes a session and a marker only;
                ``"kernel"`` requires a cgroup or a job object.
            kill_on_parent_exit: whether the tree ends when this process ends in any way, or
                replaces itself (``os.execv``); default False.
                A small process, the guard, ends it; on Windows the job object does.
            limits: the memory, processes and cores that the whole tree may use; default no limit.
                A limit requires a cgroup with the controllers for it, or a job object.
            record: the path of the record, ``.../session_ID.pid``; default none.
                It is on disk before this call returns,
                so that :func:`recover` can end the tree after a crash of this process.
                :meth:`stop` and the ``with`` block remove it when the tree has ended.
            leftovers: what the ``with`` block does with the processes that are left when the root
                has ended. ``"end"`` (default) gives them ``linger`` to leave by themselves, then
                asks them, then forces; ``"wait"`` waits for the whole tree; ``"leave"`` leaves
                them, and forgets the tree and its record.
            linger: seconds, default 1.
            spare: what the block leaves alone, as for :func:`kill_tree`; no name and no marker
                spares the root. Names and markers also hold for the guard and a recovery.
                :meth:`stop` has a ``spare`` of its own; :meth:`terminate` and :meth:`kill` have
                none.
            env: the environment; the marker is added to it. Default: that of this process.
            process_group: as for Popen; the root then has no session of its own.
            start_new_session: default True unless ``process_group`` is given.
                False keeps the root in the caller's session, with its terminal
                (on Windows in the caller's process group, which Ctrl-C reaches).
            popen: all other options of ``subprocess.Popen``.

        Raises:
            ContainmentError: the requested containment is not available, or the limits are not.
            RecordError: the record cannot be written.
            TargetRefusedError: ``env`` or this process carries a marker of ``spare``, so that
                nothing of the tree could be ended; nothing was run.
            TypeError, ValueError: an option is unknown or wrong, or ``"leave"`` is given together
                with ``kill_on_parent_exit``, or ``"session"`` with limits; nothing was run.
            OSError, subprocess.SubprocessError: as for ``subprocess.Popen``.
                No process is left after any exception, also after that of a signal handler.
        """
        check_names(type(self).__name__, popen, OPTIONS)
        self._leftovers = Leftovers.read(
            leftovers, linger, spare, kill_on_parent_exit=kill_on_parent_exit
        )
        if start_new_session is None:
            start_new_session = process_group is None
        flags = popen.pop("creationflags", 0)
        if process_group is not None:
            popen["process_group"] = process_group
        self.args = args
        self._owner = os.getpid()
        self._reaping = threading.RLock()  # never held in the main thread, where handlers run
        self._exit = child_exit()
        self._recording = None if record is None else Recording.at(record)

        def prepare() -> Containment:
            self.containment = Containment.prepare(
                containment,
                start_new_session=start_new_session,
                kill_on_parent_exit=kill_on_parent_exit,
                spare=texts_of(self._leftovers.spare),
                limits=limits,
            )
            return self.containment

        def spawn(prepared: Containment) -> None:
            contained = prepared.popen_kwargs(env)
            contained["creationflags"] = flags | contained.get("creationflags", 0)
            super(TreePopen, self).__init__(args, **popen, **contained)
            markers.note_child(self, contained["env"])

        has_preexec = popen.get("preexec_fn") is not None
        ProcessStart(
            self, prepare, spawn, self._recording, ended=self._exit, has_preexec=has_preexec
        ).start()

    @property
    def pid(self) -> int:
        """The number of the root."""
        pid: int = self._pid
        return pid

    @pid.setter
    def pid(self, pid: int | None) -> None:
        self._pid: Any = pid
        if pid is not None:  # Popen has forked: at once, for a SIGCHLD handler may reap the root
            self._exit.hold(pid)

    @property
    def exit_code(self) -> int | None:
        """The exit code of the root as ``returncode`` has it; None where it is unknown.

        ``returncode`` is 255 then.
        """
        return known(self.returncode)

    @property
    def identity(self) -> ProcessIdentity:
        """The identity of the root."""
        return self.containment.identity or ProcessIdentity(pid=self.pid)

    def aim(self) -> Aim:
        """Return the root, the members that remained at its death, and the marker."""
        return self.containment.aim()

    def limit(self, **changes: Unpack[LimitChanges]) -> None:
        """Change what the tree may use while it runs, as :meth:`Containment.limit` does."""
        self.containment.limit(**changes)

    def snapshot(self) -> TreeSnapshot:
        """Return the current members of the tree; none of them is touched."""
        return snapshot_tree(self)

    def usage(self) -> Usage:
        """Return what the tree used so far; after its end, what was known last.

        Raises:
            TargetRefusedError: this process is a fork of the one that started the tree.
        """
        return self.containment.usage()

    def poll(self) -> int | None:
        """Return the exit code of the root; None while it runs, and always None in a fork."""
        if self.returncode is None and not self._is_forked and self._ends_within(0):
            threads.do(self._reap)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the root and return its exit code.

        Args:
            timeout: seconds; default None waits without limit.

        Raises:
            subprocess.TimeoutExpired: the root still runs.
            TypeError, ValueError: the timeout is no number of seconds.
            TargetRefusedError: this process is a fork of the one that started the tree.
        """
        if self.returncode is None:
            self._refuse_forked()
            check_timeout(timeout)
            if not self._ends_within(timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            threads.do(self._reap)
        # Popen's wait asks the kernel: the root may only have looked dead.
        code: int = super()._wait(timeout)  # type: ignore[misc] # typeshed leaves it out
        return code

    def send_signal(self, sig: int) -> None:
        """Send a signal to the root only; do nothing once it has ended.

        Raises:
            TargetRefusedError: this process is a fork of the one that started the tree.
        """

        def send() -> None:
            with self._reaping:  # so that the number is still the root's
                super(TreePopen, self).send_signal(sig)

        self._refuse_forked()
        threads.do(send)

    def terminate(self) -> None:
        """Ask the whole tree to exit, children first, and do not wait.

        Where no member can be asked, this is :meth:`kill`.
        """
        self._signal("ask")

    def kill(self) -> None:
        """Freeze and kill the whole tree, and do not wait for its end."""
        self._signal("force")

    def stop(self, **options: Unpack[KillOptions]) -> KillResult:
        """End the whole tree, as :func:`kill_tree` does with the same options.

        ``shutdown`` is called first, then the pipe to the root's standard input is closed,
        if there is one.
        The record is removed when the whole tree has ended.
        """
        return self.end_kill(kill_tree(self, **options))

    async def astop(self, **options: Unpack[KillOptions]) -> KillResult:
        """Like :meth:`stop`, awaited."""
        return self.end_kill(await akill_tree(self, **options))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_forked:
            return
        if kind is not None:
            try:
                self.abort()
            finally:
                self.close_pipes()
            return
        try:
            self.close_pipes()
        finally:
            self._wait_and_end_rest()

    def __del__(self, **options: Any) -> None:
        if not self._is_forked:  # a fork is not the parent of the root, and must not warn
            super().__del__(**options)

    def _wait_and_end_rest(self) -> None:
        try:
            self.wait()
            if self.containment.is_empty:
                self.forget()
            else:
                threads.run(Rest(self, self._leftovers))
        except BaseException:
            self.abort()
            raise

    def end_kill(self, result: KillResult) -> KillResult:
        """Remove the record, and have the guard let what was spared be, if nothing else is left."""
        if result.ok:
            self.forget()
            if any(outcome.fate is Fate.SPARED for outcome in result.outcomes):
                self.containment.abandon()
        return result

    def leave(self) -> None:
        """Let what is left of the tree be; an empty cgroup goes with a later one, or at exit."""
        self.forget()
        self.containment.release()

    def forget(self) -> None:
        """Remove the record, if there is one."""
        if self._recording is not None:
            self._recording.forget()

    def close_pipes(self) -> None:
        """Close this process's ends of the pipes."""
        # As in Popen.__exit__, stdin is last: its buffered rest may fail to be written.
        pipes: list[IO[AnyStr] | None] = [self.stdout, self.stderr, self.stdin]
        for pipe in pipes:
            if pipe is not None:
                pipe.close()

    def _signal(self, way: Literal["ask", "force"]) -> None:
        if not self.containment.is_empty:
            signal_tree(self, way)

    def abort(self) -> None:
        """End the tree after an error; without a free descriptor at least the root and its group.

        Raises:
            OSError: no descriptor or no memory was left to look for all.
        """
        spare = self._leftovers.spare
        try:
            retry(lambda: self.stop(grace=0, spare=spare))
        except OSError:
            if spare is None and peek(self.pid) is not False:
                self.kill_root()
            raise

    def kill_root(self) -> None:
        """Kill the root and its group by their number, and reap the root; open no descriptor."""
        if self.returncode is None:
            for kill in KILLS_BY_NUMBER:  # ESRCH where the root leads no group
                with contextlib.suppress(OSError):
                    kill(self.pid, FORCE)
            with contextlib.suppress(subprocess.TimeoutExpired):
                super()._wait(KILLED_WITHIN)  # type: ignore[misc] # typeshed leaves it out

    def _reap(self) -> None:
        with self._reaping:
            if self.returncode is not None:
                return
            self.containment.note_leftovers()  # its session proves nothing once the number is free
            with ExitWaiter(self.pid, self.identity) as waiter:
                code = self._exit.code(reaped=waiter.is_recycled)
                lost = UNKNOWN if code is None else code  # where Popen would say 0
                if waiter.is_recycled:
                    self.returncode = lost
                else:
                    super()._internal_poll(_deadstate=lost)  # type: ignore[misc] # as _wait
            if self.returncode is not None:
                self._exit.close()
            if self.returncode is UNKNOWN:
                _log.warning("the exit code of process %s is unknown: %s", self.pid, LOST)

    def _ends_within(self, seconds: float | None) -> bool:
        """Wait for the end of the root without reaping it; return whether it has ended."""
        with ExitWaiter(self.pid, self.identity) as waiter:
            return waiter.wait(seconds)

    @property
    def _is_forked(self) -> bool:
        # __del__ also runs where __init__ failed before the owner was set.
        return os.getpid() != getattr(self, "_owner", os.getpid())

    def _refuse_forked(self) -> None:
        if (reason := self.containment.refusal) is not None:
            raise TargetRefusedError(self.pid, reason)

    def _wait(self, timeout: float | None) -> int:
        return self.wait(timeout)  # communicate() calls this after Ctrl-C, past wait()


OPTIONS = options_of(TreePopen.__init__)
"""The options of :class:`TreePopen`, by name."""
