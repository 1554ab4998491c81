"""run and arun: subprocess.run for a whole tree."""

from __future__ import annotations

import subprocess
import threading
from subprocess import CalledProcessError, CompletedProcess, TimeoutExpired
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from .._engine.process import ExitWaiter
from .._running import loops, threads
from .popen import TreePopen

if TYPE_CHECKING:
    from typing import Unpack

    from .options import Command, RunOptions

LINGER = 0.25
"""Seconds that a pipe may stay open after the exit of the root, before its holders are ended.

What a shell leaves behind for its last output, as ``>(...)`` does, has finished by then.
"""
DRAIN = 1.0  # seconds to read the rest of an output after the tree was ended at the timeout


# fmt: off
@overload
def run(args: Command, *, text: Literal[True], encoding: str | None = None,
        errors: str | None = None, input: str | None = None,
        **options: Unpack[RunOptions]) -> CompletedProcess[str]: ...
@overload
def run(args: Command, *, text: bool | None = None, encoding: str,
        errors: str | None = None, input: str | None = None,
        **options: Unpack[RunOptions]) -> CompletedProcess[str]: ...
@overload
def run(args: Command, *, text: bool | None = None, encoding: str | None = None,
        errors: str, input: str | None = None,
        **options: Unpack[RunOptions]) -> CompletedProcess[str]: ...
@overload
def run(args: Command, *, text: Literal[False] | None = None, encoding: None = None,
        errors: None = None, input: bytes | None = None,
        **options: Unpack[RunOptions]) -> CompletedProcess[bytes]: ...
@overload
def run(args: Command, *, text: bool | None = None, encoding: str | None = None,
        errors: str | None = None, input: str | bytes | None = None,
        **options: Unpack[RunOptions]) -> CompletedProcess[Any]: ...
# fmt: on


def run(args: Command, **options: Any) -> CompletedProcess[Any]:
    """Run a command as ``subprocess.run`` does, and leave none of its processes behind.

    At the timeout, an interrupt (Ctrl-C) or any other exception the whole tree is ended.
    After the root has exited by itself, the rest of the tree is asked to exit, then forced.
    So a process that still holds a pipe does not block the caller.

    Args:
        args: the program and its arguments.
        input: what is written to its standard input; default nothing.
        capture_output: whether standard output and standard error are captured; default False.
        timeout: seconds after which the tree is ended; default None waits without limit.
        check: whether an exit code other than 0 raises; default False.
        grace: seconds between the polite request and the force at the timeout;
            default 0: force at once, as ``subprocess.run`` does to the root alone.
        options: all other options of :class:`TreePopen`.

    Returns:
        As ``subprocess.run``.

    Raises:
        subprocess.TimeoutExpired: the time was over; it holds the output until then.
        subprocess.CalledProcessError: ``check`` is set and the exit code is not 0.
        ContainmentError, OSError, ValueError: as for :class:`TreePopen`.
    """
    return threads.run(Running(args, **options))


# fmt: off
@overload
async def arun(args: Command, *, text: Literal[True], encoding: str | None = None,
               errors: str | None = None, input: str | None = None,
               **options: Unpack[RunOptions]) -> CompletedProcess[str]: ...
@overload
async def arun(args: Command, *, text: bool | None = None, encoding: str,
               errors: str | None = None, input: str | None = None,
               **options: Unpack[RunOptions]) -> CompletedProcess[str]: ...
@overload
async def arun(args: Command, *, text: bool | None = None, encoding: str | None = None,
               errors: str, input: str | None = None,
               **options: Unpack[RunOptions]) -> CompletedProcess[str]: ...
@overload
async def arun(args: Command, *, text: Literal[False] | None = None, encoding: None = None,
               errors: None = None, input: bytes | None = None,
               **options: Unpack[RunOptions]) -> CompletedProcess[bytes]: ...
@overload
async def arun(args: Command, *, text: bool | None = None, encoding: str | None = None,
               errors: str | None = None, input: str | bytes | None = None,
               **options: Unpack[RunOptions]) -> CompletedProcess[Any]: ...
# fmt: on


async def arun(args: Command, **options: Any) -> CompletedProcess[Any]:
    """Like :func:`run`, awaited; it runs in a thread of its own.

    Cancelled, it ends the tree at once, and raises the cancellation when the tree is gone.
    asyncio needs nothing more; trio needs anyio (``pip install proctree_kill[trio]``).
    """
    return await loops.run(Running(args, **options))


class Running:
    """One command from its start to its result."""

    def __init__(
        self,
        args: Command,
        *,
        input: str | bytes | None = None,  # noqa: A002 - the name that subprocess.run has
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        grace: float = 0.0,
        **popen: Any,
    ) -> None:
        """Check the options; nothing runs yet."""
        if input is not None:
            _add_pipes(popen, "input", "stdin")
        if capture_output:
            _add_pipes(popen, "capture_output", "stdout", "stderr")
        self._args = args
        self._popen = popen
        self._input: Any = input
        self._timeout = timeout
        self._check = check
        self._grace = grace
        self._process: TreePopen[Any] | None = None
        self._hurried = False
        self._hurrier: threading.Thread | None = None

    def run(self) -> CompletedProcess[Any]:
        """Run the command to its end or its timeout."""
        if self._hurried:
            text = "it was interrupted, or had no thread, before anything was run"
            raise RuntimeError(text)
        pipes = subprocess.PIPE in (self._popen.get("stdout"), self._popen.get("stderr"))
        with (
            Leftovers(needed=pipes) as leftovers,
            TreePopen[Any](self._args, **self._popen) as process,
        ):
            self._process = process
            if self._hurried:
                process.kill()
            leftovers.watch(process)
            stdout, stderr = self._communicate(process)
            leftovers.cancel()
        if self._hurrier:
            self._hurrier.join()
        code = process.returncode
        if self._check and code:
            raise CalledProcessError(code, process.args, stdout, stderr)
        return CompletedProcess(process.args, code, stdout, stderr)

    def hurry(self) -> None:
        """End the tree now; :meth:`run` returns when the root has exited."""
        self._hurried = True
        if self._process is not None and self._hurrier is None:
            # in a thread, because a cancellation calls this in the thread of the event loop
            self._hurrier = threading.Thread(target=self._process.kill, name="proctree_kill hurry")
            self._hurrier.start()

    def _communicate(self, process: TreePopen[Any]) -> tuple[Any, Any]:
        try:
            return process.communicate(self._input, timeout=self._timeout)
        except TimeoutExpired as expired:
            process.stop(grace=self._grace)
            expired.stdout, expired.stderr = _drain(process)
            raise


class Leftovers:
    """Ends leftover processes that keep our pipes open after the root has exited.

    The thread starts before the root: a later thread would take a number after the root's, as a
    child does (``System.is_youngest``).
    """

    def __init__(self, *, needed: bool) -> None:
        """Prepare the thread; none is needed where the command has no pipes."""
        self._process: TreePopen[Any] | None = None
        self._waiter: ExitWaiter | None = None
        self._decided = threading.Event()  # set once there is a root, or there will be none
        self._cancelled = threading.Event()
        thread = threading.Thread(target=self._wait, name="proctree_kill leftovers")
        self._thread = thread if needed else None

    def __enter__(self) -> Self:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        if self._thread:
            self._decided.set()
            self._thread.join()
        if self._waiter:
            self._waiter.close()

    def watch(self, process: TreePopen[Any]) -> None:
        """Begin to wait for the exit of a root."""
        if self._thread:
            self._process, self._waiter = process, ExitWaiter(process.pid)
            self._decided.set()

    def cancel(self) -> None:
        """Stop waiting: the pipes have been read to their end, or are no longer read."""
        self._cancelled.set()
        if self._waiter:
            self._waiter.wake()

    def _wait(self) -> None:
        self._decided.wait()
        exited = self._waiter is not None and self._waiter.wait()  # False once it is cancelled
        if exited and self._process and not self._cancelled.wait(LINGER):
            self._process.stop()


def _drain(process: TreePopen[Any]) -> tuple[bytes | None, bytes | None]:
    """Read the rest of the pipes of a tree that was ended."""
    # As in subprocess's TimeoutExpired: bytes, which may end within a character; None if empty.
    process.universal_newlines = False
    try:
        stdout, stderr = process.communicate(timeout=DRAIN)
    except TimeoutExpired as expired:  # a survivor holds a pipe
        stdout, stderr = expired.stdout, expired.stderr
    return stdout or None, stderr or None


def _add_pipes(popen: dict[str, Any], option: str, *names: str) -> None:
    for name in names:
        if popen.get(name) is not None:
            text = f"{name} must not be given together with {option}"
            raise ValueError(text)
        popen[name] = subprocess.PIPE
