"""TreePopen: subprocess.Popen for a whole tree."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, AnyStr, Literal, Self, TypeAlias, overload

from .._containment.containment import Containment, Requested
from .._engine import markers
from .._engine.kill import akill_tree, kill_tree, signal_tree, snapshot_tree
from .._engine.process import ExitWaiter
from .._engine.target import Aim, Contained
from .._models.errors import TargetRefusedError
from .._models.identity import ProcessIdentity
from .._models.result import KillResult
from .._models.tree import TreeSnapshot
from .._records.recording import Recording
from .._running import threads
from . import start as spawn_start

if TYPE_CHECKING:
    from typing import Unpack

    from .options import KillOptions, PopenOptions

_Path: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes]"
Command: TypeAlias = "_Path | Sequence[_Path]"
"""A program and its arguments, as ``subprocess`` takes them."""
FORCE = getattr(signal, "SIGKILL", signal.SIGTERM)
KILLS_BY_NUMBER = (os.killpg, os.kill) if hasattr(os, "killpg") else (os.kill,)
REAPED_WITHIN = 5.0
"""Seconds within which a root that was killed by its number must have ended."""
Place: TypeAlias = "str | os.PathLike[str] | None"
"""Where a record is kept."""


class TreePopen(subprocess.Popen[AnyStr], Contained):
    """A ``subprocess.Popen`` that stands for the tree below it, and can end all of it.

    The root leads a session of its own (on Windows a group in the console),
    everybody inherits a marker in the environment,
    and where the kernel offers a cgroup or a job object everybody stays in that;
    so children, orphans and daemons are found whatever becomes of their parents.
    ``poll`` and ``wait`` look who is left before the root is reaped.
    Leaving the ``with`` block waits for the root, as Popen's does, then ends what is left;
    left by an exception, it ends the tree at once.
    Garbage collection never kills: it warns, as Popen's does.

    Attributes:
        containment: what keeps the tree together, and what was asked for.
    """

    containment: Containment

    # fmt: off
    @overload
    def __init__(self: TreePopen[str], args: Command, *, text: Literal[True],
                 encoding: str | None = None, errors: str | None = None,
                 containment: Requested = "auto", kill_on_parent_exit: bool = False,
                 record: Place = None,
                 **popen: Unpack[PopenOptions]) -> None: ...
    @overload
    def __init__(self: TreePopen[str], args: Command, *, text: bool | None = None,
                 encoding: str, errors: str | None = None,
                 containment: Requested = "auto", kill_on_parent_exit: bool = False,
                 record: Place = None,
                 **popen: Unpack[PopenOptions]) -> None: ...
    @overload
    def __init__(self: TreePopen[str], args: Command, *, text: bool | None = None,
                 encoding: str | None = None, errors: str,
                 containment: Requested = "auto", kill_on_parent_exit: bool = False,
                 record: Place = None,
                 **popen: Unpack[PopenOptions]) -> None: ...
    @overload
    def __init__(self: TreePopen[bytes], args: Command, *, text: Literal[False] | None = None,
                 encoding: None = None, errors: None = None,
                 containment: Requested = "auto", kill_on_parent_exit: bool = False,
                 record: Place = None,
                 **popen: Unpack[PopenOptions]) -> None: ...
    @overload
    def __init__(self: TreePopen[Any], args: Command, *, text: bool | None = None,
                 encoding: str | None = None, errors: str | None = None,
                 containment: Requested = "auto", kill_on_parent_exit: bool = False,
                 record: Place = None,
                 **popen: Unpack[PopenOptions]) -> None: ...
    # fmt: on

    def __init__(
        self,
        args: Command,
        *,
        containment: Requested = "auto",
        kill_on_parent_exit: bool = False,
        record: Place = None,
        env: Mapping[Any, Any] | None = None,
        process_group: int | None = None,
        start_new_session: bool | None = None,
        **popen: Any,
    ) -> None:
        """Start the root.

        Args:
            args: the program and its arguments, as for ``subprocess.Popen``.
            containment: ``"auto"`` takes what is to be had; ``"session"`` asks for no more than
                a session and a marker; ``"kernel"`` insists on a cgroup or a job object.
            kill_on_parent_exit: whether the tree ends when this process does, however that is:
                a small process, the guard, sees to it, on Windows the job object.
            record: where the tree is written down, ``.../session_ID.pid``, before anybody has it,
                so that :func:`recover` can end it after a crash of this process;
                the record goes when the tree was ended by :meth:`stop` or the ``with`` block.
            env: the environment; the marker is added to it.
            process_group: as for Popen; the root has no session of its own then.
            start_new_session: False leaves the root in the caller's session, with its terminal
                (on Windows in the caller's process group, which Ctrl-C reaches).
            popen: everything else that ``subprocess.Popen`` takes.

        Raises:
            ContainmentError: the containment that was asked for is not to be had.
            RecordError: it cannot be written down; no process is left.
            OSError, ValueError, subprocess.SubprocessError: as for ``subprocess.Popen``.
                Whatever is raised, by a signal handler as well, no process is left.
        """
        if start_new_session is None:
            start_new_session = process_group is None
        flags = popen.pop("creationflags", 0)
        if process_group is not None:
            popen["process_group"] = process_group
        self.args = args
        self._owner = os.getpid()
        self._reaping = threading.RLock()  # never held in the main thread, where handlers run
        self._recording = None if record is None else Recording.at(record)

        def prepare() -> Containment:
            self.containment = Containment.prepare(
                containment,
                start_new_session=start_new_session,
                kill_on_parent_exit=kill_on_parent_exit,
            )
            return self.containment

        def spawn(prepared: Containment) -> None:
            contained = prepared.popen_kwargs(env)
            contained["creationflags"] = flags | contained.get("creationflags", 0)
            super(TreePopen, self).__init__(args, **popen, **contained)
            markers.note(self, contained["env"])

        forks = popen.get("preexec_fn") is not None
        spawn_start.start(
            spawn_start.ProcessStart(self, prepare, spawn, self._recording, forks=forks)
        )

    @property
    def identity(self) -> ProcessIdentity:
        """Return which process the root is."""
        return self.containment.identity or ProcessIdentity(pid=self.pid)

    def aim(self) -> Aim:
        """Name the root, whoever was left when it died, and the marker."""
        return self.containment.aim()

    def snapshot(self) -> TreeSnapshot:
        """Return who belongs to the tree now, without touching anybody."""
        return snapshot_tree(self)

    def poll(self) -> int | None:
        """Return the exit code of the root, None while it runs, and in a forked child."""
        if self.returncode is None and not self._is_forked and self._ends_within(0):
            self._reap()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the root and return its exit code.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            subprocess.TimeoutExpired: it runs still.
            TargetRefusedError: this is a forked child of the process that started it.
        """
        if self.returncode is None:
            self._refuse_forked()
            if not self._ends_within(timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._reap()
        # A root that seems to have ended and has not: there the kernel itself is waited for.
        code: int = super()._wait(timeout)  # type: ignore[misc] # typeshed leaves it out
        return code

    def send_signal(self, sig: int) -> None:
        """Send a signal to the root alone; nothing is sent once it has ended.

        Raises:
            TargetRefusedError: this is a forked child of the process that started it.
        """
        self._refuse_forked()
        threads.do(lambda: self._send(sig))

    def terminate(self) -> None:
        """Ask the whole tree to leave, children first, and do not wait.

        Where nobody can be reached politely this is :meth:`kill`.
        """
        self._signal("ask")

    def kill(self) -> None:
        """Freeze and kill the whole tree, and do not wait for its death."""
        self._signal("force")

    def stop(self, **options: Unpack[KillOptions]) -> KillResult:
        """End the whole tree: ask it, wait for the grace, then use force.

        Standard input is closed first where it is a pipe of ours.

        Args:
            options: as for :func:`kill_tree`.

        Returns:
            As :func:`kill_tree`.

        Raises:
            PolicyError, TypeError, ValueError: as for :func:`kill_tree`.
        """
        return self._ended(kill_tree(self, **options))

    async def astop(self, **options: Unpack[KillOptions]) -> KillResult:
        """Do what :meth:`stop` does, as :func:`akill_tree` does what :func:`kill_tree` does.

        Args:
            options: as for :func:`kill_tree`.

        Returns:
            As :func:`kill_tree`.

        Raises:
            PolicyError, TypeError, ValueError: as for :func:`kill_tree`.
        """
        return self._ended(await akill_tree(self, **options))

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
            self._abandon()
            return
        try:
            self.close_pipes()
        finally:
            self._finish()

    def __del__(self, **options: Any) -> None:
        if not self._is_forked:  # else it is no child of this process, and not its to warn of
            super().__del__(**options)

    def _finish(self) -> None:
        """Wait for the root, then end what is left; an interrupt ends all of it at once."""
        try:
            self.wait()
        except BaseException:
            self.stop(grace=0)
            raise
        self._end_rest()

    def _end_rest(self) -> None:
        """End whom the root left behind."""
        if self.containment.is_empty:
            self._forget()
        else:
            self.stop()

    def _ended(self, result: KillResult) -> KillResult:
        """Forget the record of a tree of which nobody is left."""
        if result.ok:
            self._forget()
        return result

    def _forget(self) -> None:
        """Remove the record, where there is one."""
        if self._recording is not None:
            self._recording.forget()

    def _abandon(self) -> None:
        """End the tree at once; our ends of its pipes are of no use any more."""
        try:
            self.stop(grace=0)
        finally:
            self.close_pipes()

    def close_pipes(self) -> None:
        """Close our ends, as Popen's ``with`` block does; the last may fail to send its rest."""
        pipes: list[IO[AnyStr] | None] = [self.stdout, self.stderr, self.stdin]
        for pipe in pipes:
            if pipe is not None:
                pipe.close()

    def _signal(self, way: Literal["ask", "force"]) -> None:
        """Signal the tree, unless nobody can be left of it."""
        if not self.containment.is_empty:
            signal_tree(self, way)

    def kill_root(self) -> None:
        """Kill the root and its group by their number, and reap it; that needs no descriptor."""
        if self.returncode is None:
            for kill in KILLS_BY_NUMBER:  # its group may be another's: then there is none of its
                with contextlib.suppress(OSError):
                    kill(self.pid, FORCE)
            with contextlib.suppress(subprocess.TimeoutExpired):
                super()._wait(REAPED_WITHIN)  # type: ignore[misc] # typeshed leaves it out

    def _reap(self) -> None:
        """Look what is left of the tree, then reap its dead root."""
        threads.do(self._reap_alone)

    def _reap_alone(self) -> None:
        """Reap the root under the lock, once."""
        with self._reaping:
            if self.returncode is not None:
                return
            self.containment.remember()
            with ExitWaiter(self.pid, self.identity) as waiter:
                if waiter.is_recycled:  # another call has reaped it: its code is lost, as to Popen
                    self.returncode = 0
                else:
                    super().poll()

    def _send(self, sig: int) -> None:
        """Signal the root under the lock, so that its number stays its own."""
        with self._reaping:
            super().send_signal(sig)

    def _ends_within(self, seconds: float | None) -> bool:
        """Wait for the end of the root without reaping it; tell whether it has ended."""
        with ExitWaiter(self.pid, self.identity) as waiter:
            return waiter.wait(seconds)

    @property
    def _is_forked(self) -> bool:
        """Whether this is a forked child of the process that started the tree."""
        return os.getpid() != getattr(self, "_owner", os.getpid())

    def _refuse_forked(self) -> None:
        """Refuse a forked child.

        Raises:
            TargetRefusedError: this is one.
        """
        if (reason := self.containment.refusal) is not None:
            raise TargetRefusedError(self.pid, reason)

    def _wait(self, timeout: float | None) -> int:
        """Wait where communicate() does after Ctrl-C, past the public method."""
        return self.wait(timeout)
