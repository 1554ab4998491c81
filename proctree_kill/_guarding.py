"""The guard as its owner sees it: started when the first tree wants it, told of each tree."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ._identity import identify
from ._models import ProcessIdentity
from .errors import ContainmentError

REQUESTED = "kill_on_parent_exit"
HELLO = "proctree_kill guard"
"""What a guard says as soon as it runs: whatever else was started by mistake does not say it."""
PATIENCE = 20.0
"""Seconds within which a guard must have said that."""
START = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from proctree_kill._guard import main; main(sys.argv[1], sys.argv[2])"
)
"""What the guard's interpreter is told: with the owner's path it needs no ``site``."""
OPTIONS = ("-I", "-S")
"""Isolated and without ``site``; ``docs/design.md`` has what that saves."""

Message = Mapping[str, Any]


class Guard:
    """The small process that ends trees of this process when this process dies.

    It runs while there is a tree to watch, and is started anew where somebody has ended it.
    """

    def __init__(self) -> None:
        """Begin without a process."""
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._trees: dict[str, Message] = {}
        self._holds = 0

    @property
    def pid(self) -> int | None:
        """Return the number of the process, None where none runs."""
        return None if self._process is None else self._process.pid

    def watch(
        self,
        marker: str,
        *,
        cgroup: str | None = None,
        identity: ProcessIdentity | None = None,
        records: Sequence[os.PathLike[str]] = (),
    ) -> None:
        """Have a tree ended when this process dies; again with what became known since.

        Once this returns the guard knows it, whatever happens to this process.

        Args:
            marker: the ``NAME=VALUE`` that everybody in the tree carries; it names the tree.
            cgroup: the folder of its own cgroup.
            identity: its root, once that is started.
            records: files that are removed once nobody of the tree is left,
                if they hold the marker.

        Raises:
            ContainmentError: no guard can be started here.
        """
        tree = {
            "marker": marker,
            "cgroup": cgroup,
            "identity": None if identity is None else identity.model_dump(mode="json"),
            "records": [os.fspath(Path(one).absolute()) for one in records],
        }
        with self._lock:
            self._trees[marker] = tree
            try:
                self._tell(tree)
            except BaseException:
                del self._trees[marker]
                raise

    def forget(self, marker: str) -> None:
        """Let a tree be: nobody is left of it, or it may outlive this process."""
        with self._lock:
            if self._trees.pop(marker, None) is None or self._process is None:
                return
            if self._is_needed():
                with contextlib.suppress(ContainmentError):
                    self._tell({"forget": marker})
            else:
                self._end()

    def hold(self) -> None:
        """Keep the guard running while it has no tree, until :meth:`release`.

        Raises:
            ContainmentError: no guard can be started here.
        """
        with self._lock:
            self._holds += 1
            try:
                self._ensure()
            except BaseException:
                self._holds -= 1
                raise

    def release(self) -> None:
        """Take back one :meth:`hold`."""
        with self._lock:
            self._holds = max(0, self._holds - 1)
            if not self._is_needed():
                self._end()

    def abandon(self) -> None:
        """Leave the guard to the process that this one was forked from."""
        if self._process is not None:
            self._process.returncode = 0  # it is no child of ours; nobody is to warn of it
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None

    def _is_needed(self) -> bool:
        """Tell whether there is anything to watch, or will be."""
        return bool(self._trees or self._holds)

    def _tell(self, message: Message) -> None:
        """Send a message; a new guard is told of everything."""
        if self._ensure():
            return
        try:
            self._send(message)
        except OSError:  # somebody has ended it
            self._end()
            self._ensure()

    def _ensure(self) -> bool:
        """Start a guard where none runs, and tell it of every tree; tell whether that was so."""
        if self._process is not None and self._process.poll() is None:
            return False
        self._end()
        self._process = _start()
        for tree in self._trees.values():
            self._send(tree)
        return True

    def _send(self, message: Message) -> None:
        """Write one line.

        Raises:
            OSError: nobody reads it.
        """
        assert self._process is not None  # noqa: S101 - told after it was started
        os.write(_input(self._process).fileno(), json.dumps(message).encode() + b"\n")

    def _end(self) -> None:
        """End the process, which has nothing left to watch, and reap it."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError):
                _input(process).close()
            process.kill()
            process.wait()


def _input(process: subprocess.Popen[bytes]) -> IO[bytes]:
    """Return our end of its pipe."""
    assert process.stdin is not None  # noqa: S101 - it is started with a pipe
    return process.stdin


def _start() -> subprocess.Popen[bytes]:
    """Start a guard for this process, and hear that it runs.

    Raises:
        ContainmentError: there is no Python to run it, or it does not run.
    """
    if not hasattr(os, "setsid"):
        reason = (
            "this system has no guard: a job object does it, which containment='session' forgoes"
        )
        raise ContainmentError(REQUESTED, reason)
    if not sys.executable or getattr(sys, "frozen", False):
        reason = f"the guard needs a Python to run it, and sys.executable is {sys.executable!r}"
        raise ContainmentError(REQUESTED, reason)
    package = str(Path(__file__).absolute().parent.parent)
    paths = [package, *(os.path.abspath(one) for one in sys.path)]  # noqa: PTH100 - "" is here
    owner = identify(os.getpid()).model_dump_json()
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
            [sys.executable, *OPTIONS, "-c", START, owner, HELLO, *paths],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        reason = f"the guard cannot be started by {sys.executable!r}: {error.strerror}"
        raise ContainmentError(REQUESTED, reason) from error
    try:
        _hear(process)
    except BaseException:
        process.kill()
        process.wait()
        _input(process).close()
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
    return process


def _hear(process: subprocess.Popen[bytes]) -> None:
    """Wait for the first word.

    Raises:
        ContainmentError: it is another one, or none.
    """
    assert process.stdout is not None  # noqa: S101 - it is started with a pipe
    said = b""
    hello = HELLO.encode()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(said) < len(hello) and selector.select(PATIENCE):
            if not (part := process.stdout.read(len(hello) - len(said))):
                break
            said += part
    if said != hello:
        reason = f"sys.executable, {sys.executable!r}, does not run the guard"
        raise ContainmentError(REQUESTED, reason)


_guard = Guard()


def guard() -> Guard:
    """Return the guard of this process."""
    return _guard


def _forked() -> None:
    """Give a forked child a guard of its own, once it wants one."""
    global _guard  # noqa: PLW0603 - the one of this process
    _guard.abandon()
    _guard = Guard()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
