"""The guard as its owner sees it: started with the first tree that wants it, sent each tree."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from .._engine.process import identify
from .._models.errors import ContainmentError
from .._models.identity import ProcessIdentity
from .._running import threads
from .._systems.image import image

KILL_ON_PARENT_EXIT = "kill_on_parent_exit"
HELLO = "proctree_kill guard"
"""What a guard writes first: another program, started by mistake, does not write it."""
START_TIME = 20.0
"""Seconds within which a new guard must have written that, and have read about every tree."""
READ_TIME = 1.0
"""Seconds within which a guard that runs must have made room for a message in its pipe."""
EXIT_TIME = 1.0  # seconds for which the death of a killed guard is awaited
PACKAGE = Path(__file__).absolute().parents[1]  # a vendored copy may have another name
PROGRAM = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    f"from {PACKAGE.name}._guard.start import main; main(sys.argv[1], sys.argv[2])"
)
"""What the guard's interpreter runs: with the owner's path it needs no ``site``."""
PYTHON_OPTIONS = ("-I", "-S")
"""Isolated and without ``site``; ``docs/design.md`` has what that saves."""

Message = Mapping[str, Any]


class Guard:
    """The small process that ends trees of this process when this process dies.

    It runs while there is a tree to watch.
    One that has ended, or does not read, is replaced when there is a message for it.
    """

    def __init__(self) -> None:
        """Begin without a process."""
        self._lock = threading.RLock()  # never held in the main thread, where handlers run
        self._process: subprocess.Popen[bytes] | None = None
        self._trees: dict[str, Message] = {}

    @property
    def pid(self) -> int | None:
        """The number of the process; None where none runs."""
        return None if self._process is None else self._process.pid

    def watch(
        self,
        marker: str,
        *,
        cgroup: str | None = None,
        identity: ProcessIdentity | None = None,
        records: Sequence[os.PathLike[str]] = (),
        spare: Sequence[str] = (),
    ) -> None:
        """Have a tree ended when this process dies; again with what became known since.

        Once this returns the message is in the guard's pipe, and a stopped guard was continued:
        a guard that runs reads it, whatever happens to this process.
        This takes ``READ_TIME`` at most, and ``START_TIME`` more where a new guard is started.

        Args:
            marker: the ``NAME=VALUE`` that every member of the tree carries; it names the tree.
            cgroup: the folder of its own cgroup.
            identity: its root, once that is started.
            records: files that hold the marker, removed once no member of the tree is left.
            spare: names and markers of processes that are left alone.

        Raises:
            ContainmentError: no guard can be started here, or it does not read.
            OSError: no descriptor is left to start it.
        """
        tree = {
            "marker": marker,
            "cgroup": cgroup,
            "identity": None if identity is None else identity.model_dump(mode="json"),
            "records": [os.fspath(Path(path).absolute()) for path in records],
            "spare": list(spare),
        }
        threads.do(lambda: self._watch(tree))

    def forget(self, marker: str) -> None:
        """Let a tree be: no member is left, or it may outlive this process."""
        threads.do(lambda: self._forget(marker))

    def abandon(self) -> None:
        """Leave the guard to the process that this one was forked from."""
        if self._process is not None:
            self._process.returncode = 0  # no child of this process: Popen must not warn of it
            _input(self._process).close()
            self._process = None

    def _watch(self, tree: Message) -> None:
        with self._lock:
            self._trees[tree["marker"]] = tree
            try:
                self._send(tree)
            except BaseException:
                del self._trees[tree["marker"]]
                raise

    def _forget(self, marker: str) -> None:
        with self._lock:
            if self._trees.pop(marker, None) is None or self._process is None:
                return
            if self._trees:
                with contextlib.suppress(ContainmentError, OSError):  # the next tree starts one
                    self._send({"forget": marker})
            else:
                self._end()

    def _send(self, message: Message) -> None:
        if self._start():  # it was sent every tree
            return
        try:
            self._write(message, READ_TIME)
        except OSError:  # it has ended, or does not read
            self._end()
            self._start()

    def _start(self) -> bool:
        """Start a guard where none runs, and send it every tree; return whether that was so."""
        if self._process is not None and self._process.poll() is None:
            return False
        self._end()
        self._process = _start()
        try:
            for tree in self._trees.values():
                self._write(tree, START_TIME)
        except OSError as error:
            self._end()
            reason = f"the guard does not read: {error}"
            raise ContainmentError(KILL_ON_PARENT_EXIT, reason) from error
        return True

    def _write(self, message: Message, seconds: float) -> None:
        """Write one line, in pieces where the pipe has no room for all of it.

        Raises:
            OSError: the guard has ended, or did not read within so many seconds.
        """
        assert self._process is not None  # noqa: S101 - it was started before
        if hasattr(signal, "SIGCONT"):
            self._process.send_signal(signal.SIGCONT)  # one that runs does not notice
        pipe = _input(self._process).fileno()
        rest = json.dumps(message).encode() + b"\n"
        until = time.monotonic() + seconds
        while rest:
            try:
                rest = rest[os.write(pipe, rest) :]
            except BlockingIOError:
                if not _is_ready(pipe, "POLLOUT", until):
                    text = f"its pipe was full for {seconds:g} s"
                    raise TimeoutError(text) from None

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _kill(process)


def _start() -> subprocess.Popen[bytes]:
    """Start a guard for this process, and wait for its hello.

    Raises:
        ContainmentError: there is no Python to run it, or it does not run.
    """
    if not hasattr(os, "setsid"):
        reason = (
            "this system has no guard: a job object does it, which containment='session' forgoes"
        )
        raise ContainmentError(KILL_ON_PARENT_EXIT, reason)
    if not sys.executable or getattr(sys, "frozen", False):
        reason = f"the guard needs a Python to run it, and sys.executable is {sys.executable!r}"
        raise ContainmentError(KILL_ON_PARENT_EXIT, reason)
    paths = [str(PACKAGE.parent), *(os.path.abspath(path) for path in sys.path)]  # noqa: PTH100 - "" is here
    owner = json.dumps([identify(os.getpid()).model_dump(mode="json"), image(os.getpid())])
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
            [sys.executable, *PYTHON_OPTIONS, "-c", PROGRAM, owner, HELLO, *paths],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        reason = f"the guard cannot be started by {sys.executable!r}: {error.strerror}"
        raise ContainmentError(KILL_ON_PARENT_EXIT, reason) from error
    try:
        os.set_blocking(_input(process).fileno(), False)  # type: ignore[attr-defined, unused-ignore] # POSIX
        _await_hello(process)
    except BaseException:
        _kill(process)
        raise
    return process


def _await_hello(process: subprocess.Popen[bytes]) -> None:
    """Read what the process writes first.

    Raises:
        ContainmentError: it is no hello.
    """
    assert process.stdout is not None  # noqa: S101 - it is started with a pipe
    with process.stdout as output:
        ready = _is_ready(output.fileno(), "POLLIN", time.monotonic() + START_TIME)
        # One read is enough: so short a write arrives as a whole (PIPE_BUF, pipe(7)).
        hello = output.read(len(HELLO)) if ready else b""
    if hello != HELLO.encode():
        reason = f"sys.executable, {sys.executable!r}, does not run the guard"
        raise ContainmentError(KILL_ON_PARENT_EXIT, reason)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a guard and reap it; a thread does that where it is frozen, and so dies late."""
    with contextlib.suppress(OSError):
        _input(process).close()
    process.kill()
    try:
        process.wait(EXIT_TIME)
    except subprocess.TimeoutExpired:
        reaper = threading.Thread(target=process.wait, name="proctree_kill", daemon=True)
        with contextlib.suppress(RuntimeError):  # at the exit of the interpreter none starts
            reaper.start()


def _input(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None  # noqa: S101 - it is started with a pipe
    return process.stdin


def _is_ready(descriptor: int, event: str, until: float) -> bool:
    """Wait until a descriptor is ready, with poll(2), which needs no descriptor of its own."""
    poll = select.poll()  # type: ignore[attr-defined, unused-ignore] # POSIX
    poll.register(descriptor, getattr(select, event))
    return bool(poll.poll(max(until - time.monotonic(), 0) * 1000))  # milliseconds


_guard = Guard()


def guard() -> Guard:
    """Return the guard of this process."""
    return _guard


def _replace_in_child() -> None:
    global _guard  # noqa: PLW0603 - each process has its own
    _guard.abandon()
    _guard = Guard()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_in_child)
