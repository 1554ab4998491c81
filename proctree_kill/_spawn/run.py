"""run and arun: subprocess.run for a whole tree."""

from __future__ import annotations

import math
import subprocess
import time
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

from .._models.policy import KillPolicy
from .._models.result import Fate, KillResult
from .._models.usage import Usage
from .._running import loops, threads
from .completed import CompletedTree
from .expired import IdleTimeoutExpired
from .idle import check_seconds, check_timeout
from .leftovers import FORCE, LINGER, Leftovers, Rest
from .popen import TreePopen
from .signature import check_names, options_of, with_options
from .time_limit import Reason, TimeLimit
from .transfer import Transfer, decoded
from .tree_cpu import idle_clock

if TYPE_CHECKING:
    from typing import Unpack

    from .._engine.spare import Spare
    from .._models.policy import Teardown, Terminate
    from .leftovers import Choice
    from .options import Command, RunOptions

DRAIN = 1.0  # seconds to read the rest of an output after the tree was ended


class _End(NamedTuple):
    """The end of a command: why it was ended, what was ended, and its output."""

    reason: Reason | None
    kill: KillResult | None
    stdout: bytes | None
    stderr: bytes | None


class Running:
    """One command from its start to its result."""

    def __init__(
        self,
        args: Command,
        *,
        input: str | bytes | None = None,  # noqa: A002 - the name that subprocess.run has
        capture_output: bool = False,
        timeout: float | None = None,
        max_lifetime: float | None = None,
        idle_timeout: float | None = None,
        check: bool = False,
        grace: float = 0.0,
        settle: float | None = None,
        terminate: Terminate | None = None,
        teardown: Teardown | None = None,
        leftovers: Choice = "end",
        linger: float = LINGER,
        spare: Spare | None = None,
        **popen: Any,
    ) -> None:
        """Check the options; nothing runs yet."""
        check_names("run", popen, RUN_OPTIONS)
        if input is not None:
            _add_pipes(popen, "input", "stdin")
            _check_input(input, popen)
        if timeout is not None and max_lifetime is not None:
            text = "max_lifetime is another word for timeout: give one of the two"
            raise ValueError(text)
        check_timeout(timeout)
        check_seconds("max_lifetime", max_lifetime)
        check_seconds("idle_timeout", idle_timeout)
        if capture_output:
            _add_pipes(popen, "capture_output", "stdout", "stderr")
        self._args = args
        self._popen = popen
        self._input = input
        self._timeout = max_lifetime if timeout is None else timeout
        self._idle_timeout = idle_timeout
        self._check = check
        at_end = {"settle": settle, "terminate": terminate, "teardown": teardown}
        self._at_end = KillPolicy().but(**at_end)
        # the seconds of a teardown are its grace
        own_grace = None if teardown and not grace else grace
        self._at_timeout = KillPolicy().but(grace=own_grace, **at_end)
        self._leftovers = Leftovers.read(
            leftovers,
            linger,
            spare,
            kill_on_parent_exit=bool(popen.get("kill_on_parent_exit")),
        )
        self._hurried = False
        self._rest: Rest | None = None

    def run(self) -> CompletedTree[Any]:
        """Run the command to its end or its timeout.

        Raises:
            TimeoutExpired: the time was over, or the tree was idle.
            CalledProcessError: the exit code is not 0, and that is checked.
        """
        if self._hurried:
            text = "it was interrupted, or had no thread, before anything was run"
            raise RuntimeError(text)
        until = math.inf if self._timeout is None else time.monotonic() + self._timeout
        pipes = [self._popen.get(name) for name in ("stdin", "stdout", "stderr")]
        with Transfer(needed=subprocess.PIPE in pipes) as transfer:
            process = TreePopen[Any](self._args, spare=self._leftovers.spare, **self._popen)
            try:
                ended = self._finish(process, transfer, self._limit(process, transfer, until))
            except BaseException:
                process.abort()
                raise
            finally:
                transfer.stop()
                process.close_pipes()
        used = process.usage()
        if ended.reason is not None:
            raise self._expired(ended, used)
        stdout = decoded(ended.stdout, process.stdout)
        stderr = decoded(ended.stderr, process.stderr)
        done: CompletedTree[Any] = CompletedTree(
            self._args, process.returncode, stdout, stderr, kill=ended.kill, usage=used
        )
        if self._check:
            done.check_returncode()
        return done

    def hurry(self) -> None:
        """End the tree now; :meth:`run` returns when it has ended."""
        self._hurried = True
        if self._rest is not None:
            self._rest.hurry()

    def _limit(self, process: TreePopen[Any], transfer: Transfer, until: float) -> TimeLimit:
        if self._idle_timeout is None:
            return TimeLimit(until)
        idle = idle_clock(process, self._idle_timeout, self._leftovers.spare)
        transfer.note_byte = idle.note_activity
        return TimeLimit(until, idle)

    def _expired(self, ended: _End, used: Usage) -> TimeoutExpired:
        # As in subprocess: bytes, which may end within a character; None if empty.
        out, err = ended.stdout or None, ended.stderr or None
        expired: Any
        if ended.reason == "idle_timeout":
            expired = IdleTimeoutExpired(self._args, self._idle_timeout or 0, out, err)
        else:
            expired = TimeoutExpired(self._args, self._timeout or 0, out, err)
        expired.reason, expired.kill, expired.usage = ended.reason, ended.kill, used
        error: TimeoutExpired = expired
        return error

    def _finish(self, process: TreePopen[Any], transfer: Transfer, limit: TimeLimit) -> _End:
        """Wait for the end of the command, or end it."""
        rest = self._rest = Rest(process, self._leftovers, transfer)
        if self._hurried:
            rest.hurry()
        transfer.begin(process, self._input)
        in_time = rest.await_root(limit) and rest.wait(limit)
        if rest.hurried or not in_time:
            kill = rest.end(FORCE if rest.hurried else self._at_timeout)
        else:
            kill = rest.finish(self._at_end)
        if kill is not None and all(outcome.fate != Fate.SPARED for outcome in kill.outcomes):
            drained = time.monotonic() + DRAIN  # a survivor may hold a pipe
            transfer.wait(lambda: drained)
        reason = None if in_time else limit.reason or "timeout"  # a hurry: the caller raises
        return _End(reason, kill, *transfer.finish())


def _add_pipes(popen: dict[str, Any], option: str, *names: str) -> None:
    for name in names:
        if popen.get(name) is not None:
            text = f"{name} must not be given together with {option}"
            raise ValueError(text)
        popen[name] = subprocess.PIPE


def _check_input(data: object, popen: dict[str, Any]) -> None:
    text = any(map(popen.get, ("text", "universal_newlines", "encoding", "errors")))
    if text and data and not isinstance(data, str):
        error = f"input must be a str where the pipes are text, not {type(data).__name__}"
        raise TypeError(error)
    if not text and data:
        try:
            memoryview(data)  # type: ignore[arg-type] # what it is, is asked here
        except TypeError:
            error = f"input must be bytes where the pipes are not text, not {type(data).__name__}"
            raise TypeError(error) from None


RUN_OPTIONS = options_of(Running.__init__, TreePopen.__init__)
"""The options of :func:`run`, by name."""


# fmt: off
@overload
def run(args: Command, *, text: Literal[True], encoding: str | None = None,
        errors: str | None = None, input: str | None = None,
        **options: Unpack[RunOptions]) -> CompletedTree[str]: ...
@overload
def run(args: Command, *, text: bool | None = None, encoding: str,
        errors: str | None = None, input: str | None = None,
        **options: Unpack[RunOptions]) -> CompletedTree[str]: ...
@overload
def run(args: Command, *, text: bool | None = None, encoding: str | None = None,
        errors: str, input: str | None = None,
        **options: Unpack[RunOptions]) -> CompletedTree[str]: ...
@overload
def run(args: Command, *, text: Literal[False] | None = None, encoding: None = None,
        errors: None = None, input: bytes | None = None,
        **options: Unpack[RunOptions]) -> CompletedTree[bytes]: ...
@overload
def run(args: Command, *, text: bool | None, encoding: str | None = None,
        errors: str | None = None, input: str | bytes | None = None,
        **options: Unpack[RunOptions]) -> CompletedTree[Any]: ...
# fmt: on


@with_options(RUN_OPTIONS, "CompletedTree[Any]")
def run(args: Command, **options: Any) -> CompletedTree[Any]:
    """Run a command as ``subprocess.run`` does, and leave none of its processes behind.

    At the timeout, an interrupt (Ctrl-C) or any other exception the whole tree is ended, and with
    ``idle_timeout`` also when it hangs.
    After the root has exited by itself, the rest of the tree has ``linger`` seconds to exit as
    well, counted anew from each byte of output; then it is asked to, then forced.
    So no output is cut off that is still coming, and a process that holds a pipe in silence does
    not block the caller. Without a timeout, output that never ends holds ``run``.

    Args:
        args: the program and its arguments.
        input: what is written to its standard input; default nothing.
        capture_output: whether standard output and standard error are captured; default False.
        timeout: seconds after which the tree is ended; default None waits without limit.
        max_lifetime: another word for ``timeout``, as sessions have it.
        idle_timeout: seconds after which an idle tree is ended, more than 0; default None: never.
            Idle: no byte was read from its pipes and it used less than 2 % of one core since then.
            That is looked at when the time is over, and a tree that is found busy has as long once
            more. Without captured output only the CPU counts. Spared processes do not use any, and
            where the CPU cannot be known the tree is busy.
        check: whether an exit code other than 0, or an unknown one, raises; default False.
        grace: seconds between the polite request and the force at either timeout;
            default 0: force at once, as ``subprocess.run`` does to the root alone.
            What is left when the command has ended by itself has 2 seconds, whatever this is.
            With a teardown, leave it out.
            A program that holds a lock file, as git does, removes it when it is asked.
        settle, terminate, teardown: as for :class:`KillPolicy`, at the timeout and for what is
            left when the command has ended by itself.
        leftovers: what becomes of the processes that are left when the root has ended.
            ``"end"`` (default) ends them after ``linger``; ``"wait"`` waits for the whole tree,
            within the timeout; ``"leave"`` reads what the pipes hold, closes them and leaves the
            processes alone. One that goes on printing into a closed pipe dies: redirect it.
        linger: seconds for the rest to leave by itself, default 1.
        spare: processes that are left alone, as for :func:`kill_tree`. They are not waited for,
            nor is what they write.
        options: all other options of :class:`TreePopen`.

    Returns:
        As ``subprocess.run``; ``kill`` is what was ended after the root, or None, and ``usage``
        what the command and all that it started used.
        ``exit_code`` is None, and ``returncode`` 255, where another part of this program has
        reaped the root and the kernel does not tell its exit code (before Linux 6.15).

    Raises:
        subprocess.TimeoutExpired: the time was over, or the tree was idle, and the root lived,
            a process that it left was still writing, or the whole tree was waited for.
            It holds the output until then, ``kill``, ``usage`` and ``reason``: ``"timeout"`` or
            ``"idle_timeout"``, which its text says as well.
        subprocess.CalledProcessError: ``check`` is set and the exit code is not 0, or unknown,
            which its text says; it has ``kill`` and ``usage``.
        TypeError, ValueError: an option is unknown or wrong; nothing was run.
        ContainmentError, OSError: as for :class:`TreePopen`.
    """
    return threads.run(Running(args, **options))


# fmt: off
@overload
async def arun(args: Command, *, text: Literal[True], encoding: str | None = None,
               errors: str | None = None, input: str | None = None,
               **options: Unpack[RunOptions]) -> CompletedTree[str]: ...
@overload
async def arun(args: Command, *, text: bool | None = None, encoding: str,
               errors: str | None = None, input: str | None = None,
               **options: Unpack[RunOptions]) -> CompletedTree[str]: ...
@overload
async def arun(args: Command, *, text: bool | None = None, encoding: str | None = None,
               errors: str, input: str | None = None,
               **options: Unpack[RunOptions]) -> CompletedTree[str]: ...
@overload
async def arun(args: Command, *, text: Literal[False] | None = None, encoding: None = None,
               errors: None = None, input: bytes | None = None,
               **options: Unpack[RunOptions]) -> CompletedTree[bytes]: ...
@overload
async def arun(args: Command, *, text: bool | None, encoding: str | None = None,
               errors: str | None = None, input: str | bytes | None = None,
               **options: Unpack[RunOptions]) -> CompletedTree[Any]: ...
# fmt: on


@with_options(RUN_OPTIONS, "CompletedTree[Any]")
async def arun(args: Command, **options: Any) -> CompletedTree[Any]:
    """Like :func:`run`, awaited; it runs in a thread of its own.

    Cancelled, it ends the tree at once, and raises the cancellation when the tree is gone.
    trio needs its extra (``pip install proctree_kill[trio]``).
    """
    return await loops.run(Running(args, **options))
