"""run and arun: subprocess.run for a whole tree."""

from __future__ import annotations

import subprocess
import threading
from subprocess import CalledProcessError, CompletedProcess, TimeoutExpired
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from .._engine.process import ExitWaiter
from .._running import loops, threads
from .popen import Command, TreePopen

if TYPE_CHECKING:
    from typing import Unpack

    from .options import RunOptions

LINGER = 0.25
"""Seconds that a pipe may stay open after the root has ended, before whoever holds it is ended.

What a shell leaves behind for its last output, as ``>(...)`` does, is done by then.
"""
DRAIN = 1.0
"""Seconds that are given to the rest of an output after the tree was ended at a timeout."""


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
    """Run a command as ``subprocess.run`` does, and leave nothing of it behind.

    At the timeout, at an interrupt (Ctrl-C) and at any other exception the whole tree is ended.
    When the command has ended by itself, whoever it left behind is asked to leave, then forced:
    so nobody who holds a pipe keeps the caller waiting.

    Args:
        args: the program and its arguments.
        input: what to send to its standard input.
        capture_output: whether to collect its standard output and standard error.
        timeout: seconds after which the tree is ended; None waits for ever.
        check: whether an exit code other than 0 raises.
        grace: seconds between the polite request and the force at the timeout;
            default 0: force at once, as ``subprocess.run`` does to the root alone.
        options: everything else that :class:`TreePopen` takes.

    Returns:
        As ``subprocess.run``.

    Raises:
        subprocess.TimeoutExpired: it took too long; the output so far is in the exception.
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
    """Do what :func:`run` does, in a thread of its own, without blocking the event loop.

    Cancelled, it ends the tree at once, and lets the cancellation through when it is gone.
    asyncio needs nothing more; trio goes through anyio (``pip install proctree_kill[trio]``).

    Args:
        args: as for :func:`run`.
        options: as for :func:`run`.

    Returns:
        As :func:`run`.

    Raises:
        subprocess.TimeoutExpired: as for :func:`run`.
        subprocess.CalledProcessError: as for :func:`run`.
        ContainmentError, OSError, ValueError: as for :func:`run`.
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
        """Check what can be checked before anything runs."""
        if input is not None:
            _add(popen, "input", stdin=subprocess.PIPE)
        if capture_output:
            _add(popen, "capture_output", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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
        """Run it to its end, or to that of its time."""
        if self._hurried:
            text = "it was interrupted, or had no thread, before anything was run"
            raise RuntimeError(text)
        pipes = subprocess.PIPE in (self._popen.get("stdout"), self._popen.get("stderr"))
        with Leftovers(needed=pipes) as usher, TreePopen[Any](self._args, **self._popen) as process:
            self._process = process
            if self._hurried:
                process.kill()
            usher.attend(process)
            stdout, stderr = self._communicate(process)
            usher.dismiss()
        if self._hurrier:
            self._hurrier.join()
        code = process.returncode
        if self._check and code:
            raise CalledProcessError(code, process.args, stdout, stderr)
        return CompletedProcess(process.args, code, stdout, stderr)

    def hurry(self) -> None:
        """End the tree now; the thread that runs it sees that by itself."""
        self._hurried = True
        if self._process is not None and self._hurrier is None:
            self._hurrier = threading.Thread(target=self._process.kill, name="proctree_kill hurry")
            self._hurrier.start()

    def _communicate(self, process: TreePopen[Any]) -> tuple[Any, Any]:
        """Send the input and collect the outputs; end the tree when the time is over."""
        try:
            return process.communicate(self._input, timeout=self._timeout)
        except TimeoutExpired as expired:
            process.stop(grace=self._grace)
            expired.stdout, expired.stderr = _drain(process)
            raise


class Leftovers:
    """Sees to it that our pipes come to their end once the root has ended.

    Whoever it left behind may hold them, and is ended when their time is over.
    The thread begins before the root is born, so that it does not look like a child of it.
    """

    def __init__(self, *, needed: bool) -> None:
        """Prepare the thread, where there are pipes."""
        self._process: TreePopen[Any] | None = None
        self._waiter: ExitWaiter | None = None
        self._arrived = threading.Event()
        self._done = threading.Event()
        thread = threading.Thread(target=self._wait, name="proctree_kill usher")
        self._thread = thread if needed else None

    def __enter__(self) -> Self:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()
        if self._thread:
            self._arrived.set()
            self._thread.join()
        if self._waiter:
            self._waiter.close()

    def attend(self, process: TreePopen[Any]) -> None:
        """Begin to wait for this root."""
        if self._thread:
            self._process, self._waiter = process, ExitWaiter(process.pid)
            self._arrived.set()

    def dismiss(self) -> None:
        """Stop waiting: the pipes are at their end, or given up."""
        self._done.set()
        if self._waiter:
            self._waiter.wake()

    def _wait(self) -> None:
        """Wait for the root, then a moment for the pipes; then end whoever holds them."""
        self._arrived.wait()
        if self._process and self._waiter and self._waiter.wait() and not self._done.wait(LINGER):
            self._process.stop()


def _drain(process: TreePopen[Any]) -> tuple[bytes | None, bytes | None]:
    """Read what is left in the pipes of a tree that was ended.

    As ``subprocess`` has it in a TimeoutExpired: bytes, which may end within a character,
    and None for nothing.
    """
    process.universal_newlines = False
    try:
        stdout, stderr = process.communicate(timeout=DRAIN)
    except TimeoutExpired as late:  # a survivor holds a pipe
        stdout, stderr = late.stdout, late.stderr
    return stdout or None, stderr or None


def _add(popen: dict[str, Any], why: str, **pipes: int) -> None:
    """Add pipes to the options of a command.

    Raises:
        ValueError: one of them is given already.
    """
    for name, pipe in pipes.items():
        if popen.get(name) is not None:
            text = f"{name} must not be given together with {why}"
            raise ValueError(text)
        popen[name] = pipe
