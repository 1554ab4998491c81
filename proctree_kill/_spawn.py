"""TreePopen: subprocess.Popen for a whole tree."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, AnyStr, Literal, Self, TypeAlias, overload

from . import _own_children
from ._containment import Containment, Requested
from ._kill import akill_tree, kill_tree, signal_tree, snapshot_tree
from ._models import KillResult, ProcessIdentity, TreeSnapshot
from ._recording import Recording
from ._target import Aim, Contained
from ._vigil import Vigil

if TYPE_CHECKING:
    from typing import Unpack

    from ._options import KillOptions, PopenOptions

_Path: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes]"
Command: TypeAlias = "_Path | Sequence[_Path]"
"""A program and its arguments, as ``subprocess`` takes them."""
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
        """
        if start_new_session is None:
            start_new_session = process_group is None
        prepared = Containment.prepare(
            containment,
            start_new_session=start_new_session,
            kill_on_parent_exit=kill_on_parent_exit,
        )
        if process_group is not None:
            popen["process_group"] = process_group
        self.containment = prepared
        self._owner = os.getpid()
        self._reaping = threading.RLock()  # a signal handler may poll while we do
        self._recording = None if record is None else Recording.at(record)
        try:
            if self._recording is not None:
                self._recording.announce(prepared, args)
                prepared.also_remove(*self._recording.files)
            flags = popen.pop("creationflags", 0)
            with prepared.spawning():
                contained = prepared.popen_kwargs(env)
                contained["creationflags"] = flags | contained.get("creationflags", 0)
                super().__init__(args, **popen, **contained)
            prepared.attach(self)
            _own_children.note(self, contained["env"])
            if self._recording is not None:
                self._recording.confirm(prepared)
        except BaseException:
            if (
                getattr(self, "pid", None) and self.returncode is None
            ):  # interrupted after the spawn
                if prepared.identity is None:
                    prepared.attach(self)
                self._abandon()
            else:
                prepared.release()
                self._forget()
            raise

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
        """Return the exit code of the root, None while it runs."""
        return self._reap() if self._ends_within(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the root and return its exit code.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            subprocess.TimeoutExpired: it runs still.
        """
        if not self._ends_within(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        code = self._reap()
        if code is None:  # another thread is just reaping it; past our own _wait, which calls this
            code = super()._wait(timeout)  # type: ignore[misc] # the standard library's own
        return code

    def send_signal(self, sig: int) -> None:
        """Send a signal to the root alone, to nobody if it has ended."""
        with self._reaping:
            super().send_signal(sig)

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
        if kind is not None:
            self._abandon()
            return
        try:
            self._close_pipes()
        finally:
            self._finish()

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
        if self.containment.deserted:
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
            self._close_pipes()

    def _close_pipes(self) -> None:
        """Close our ends, as Popen's ``with`` block does; the last may fail to send its rest."""
        pipes: list[IO[AnyStr] | None] = [self.stdout, self.stderr, self.stdin]
        for pipe in pipes:
            if pipe is not None:
                pipe.close()

    def _signal(self, way: Literal["ask", "force"]) -> None:
        """Signal the tree, unless nobody can be left of it."""
        if not self.containment.deserted:
            signal_tree(self, way)

    def _reap(self) -> int | None:
        """Look who is left of the tree, then reap its dead root."""
        with self._reaping:
            if self.returncode is None and os.getpid() == self._owner:
                self.containment.remember()
            return super().poll()

    def _ends_within(self, seconds: float | None) -> bool:
        """Wait for the end of the root without reaping it; tell whether it has ended.

        In a forked child it is nobody's to wait for, which Popen itself finds out.
        """
        with self._reaping:
            if self.returncode is not None or os.getpid() != self._owner:
                return True
            vigil = Vigil(self.pid)
        with vigil:
            return vigil.wait(seconds)

    def _wait(self, timeout: float | None) -> int:
        """Wait where communicate() does after Ctrl-C, past the public method."""
        return self.wait(timeout)
