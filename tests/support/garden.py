"""Grow small trees of real processes on every system, Windows as well.

**Birth**: each process says its name and pid to the garden, by a loopback socket of its own.
**Death**: the system closes that socket when the process dies.
A process leaves by itself when the garden closes its end, so that nothing outlives a failure.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from .capabilities import has

BOUND = 20.0
"""Seconds after which something that should have happened counts as a failure."""
SOURCE = Path(__file__).with_name("sprout.py")
WINDOWS = has("windows")
Start = Callable[..., subprocess.Popen[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprout:
    """One process of a tree, as it shall behave.

    Args:
        name: what its pid is filed under.
        children: whom it starts.
        dies: whether it exits once everybody has spoken.
        restarts: whether it replaces its only child when that one dies.
        asked: what it does on CTRL_BREAK: ``dies``, ``leaves`` with code 7, or ``stays``.
        flags: the creation flags that its parent gives it, on Windows.
    """

    name: str
    children: tuple[Sprout, ...] = ()
    dies: bool = False
    restarts: bool = False
    asked: str = "dies"
    flags: int = 0

    def names(self) -> Iterator[str]:
        """Yield the names of the whole tree."""
        yield self.name
        for child in self.children:
            yield from child.names()

    def doomed(self) -> Iterator[str]:
        """Yield the names of those who exit by themselves."""
        if self.dies:
            yield self.name
        for child in self.children:
            yield from child.doomed()


def row(*names: str) -> Sprout:
    """Describe a tree in which each name is the only child of the one before."""
    first, *rest = names
    return Sprout(name=first, children=(row(*rest),) if rest else ())


class Garden:
    """Where trees grow, until it is left.

    Attributes:
        pids: who was born last under which name.
    """

    def __init__(self) -> None:
        """Listen."""
        self.pids: dict[str, int] = {}
        self._token = f"garden-{uuid.uuid4().hex}"
        self._gate = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._voices: dict[socket.socket, str] = {}
        self._roots: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def grow(
        self, sprout: Sprout, *, start: Start = subprocess.Popen, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a tree; return its root when everybody has spoken and who should die is dead.

        Args:
            sprout: the root.
            start: starts the command, like Popen, perhaps by way of something else.
            options: what Popen takes.
        """
        port = self._gate.getsockname()[1]
        # Without the redirector of a virtual environment on Windows, a process more.
        command = [getattr(sys, "_base_executable", sys.executable), "-I", "-S", str(SOURCE)]
        command += [str(port), self._token, json.dumps(asdict(sprout))]
        root = start(command, stdin=subprocess.DEVNULL, **options)
        self._roots.append(root)
        names, doomed = set(sprout.names()), set(sprout.doomed())
        heard = self._listen_until(lambda: names <= set(self._voices.values()))
        assert heard, f"these never spoke: {sorted(names - set(self._voices.values()))}"
        for voice, name in self._voices.items():
            if name in doomed:
                voice.sendall(b"!")
        gone = self._listen_until(lambda: not doomed & set(self._voices.values()))
        assert gone, f"these should have left: {sorted(doomed)}"
        return root

    def all_dead(self) -> bool:
        """Tell whether everybody who ever spoke is dead, and nobody is there who has not yet.

        Windows closes the sockets of a dying process a moment before it is gone.
        Under Wine the socket of one whose job is ended stays open at times: the table decides.
        """
        silent = self._listen_until(lambda: not self._voices, BOUND / 10 if WINDOWS else BOUND)
        return (silent or WINDOWS) and not psutil.wait_procs(self.living(), BOUND)[1]

    def living(self) -> list[psutil.Process]:
        """Return whoever was started for this garden and lives."""
        return [process for process in psutil.process_iter() if self._token in _arguments(process)]

    def end(self) -> None:
        """Let everybody leave, and end who cannot."""
        self._gate.close()
        for voice in self._voices:
            voice.close()
        for process in self.living():
            with suppress(psutil.NoSuchProcess):
                process.resume()
                process.kill()
        for root in self._roots:
            root.wait(BOUND)

    def _listen_until(self, enough: Callable[[], bool], within: float = BOUND) -> bool:
        """Listen until it is enough; tell whether that came to pass in time."""
        deadline = time.monotonic() + within
        while not enough():
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._gate, *self._voices], [], [], left)
            if not ready:
                return False
            for ready_socket in ready:
                self._hear(ready_socket)
        return True

    def _hear(self, ready_socket: socket.socket) -> None:
        """Take a new voice in, file what one says, or strike out one that fell silent."""
        if ready_socket is self._gate:
            voice, _ = ready_socket.accept()
            self._voices[voice] = ""
            return
        said = _said(ready_socket)
        if said:
            name, pid = said.decode().split()
            self._voices[ready_socket] = name
            self.pids[name] = int(pid)
        else:
            del self._voices[ready_socket]
            ready_socket.close()


def _said(voice: socket.socket) -> bytes:
    """Read a line from a voice; nothing when its process is dead."""
    try:
        return voice.recv(1 << 10)
    except ConnectionResetError:
        return b""


def _arguments(process: psutil.Process) -> list[str]:
    """Return the command line of a process; nothing for the dead, and for who hides it."""
    try:
        return process.cmdline()
    except (psutil.Error, OSError):
        return []
