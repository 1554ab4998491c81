"""Plants trees of nodes on every system, Windows included.

**Start**: each process sends its name and pid to the planter, on a loopback socket of its own.
**Death**: the system closes that socket when the process dies.
A process leaves by itself when the planter closes its end, so that none outlives a failure.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil

from proctree_kill import TreePopen

from .capabilities import has
from .nodes import Node
from .times import BOUND
from .waiting import read_until

SOURCE = Path(__file__).with_name("socket_node.py")
WINDOWS = has("windows")
Start = Callable[..., subprocess.Popen[bytes]]


class SocketPlanter:
    """Plants trees, and ends them all at its own end.

    Attributes:
        pids: the pid of each node that started, by name; the last one where a node restarts.
    """

    def __init__(self) -> None:
        self.pids: dict[str, int] = {}
        self._token = f"planter-{uuid.uuid4().hex}"
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._nodes: dict[socket.socket, str] = {}
        self._roots: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def plant(
        self, node: Node, *, start: Start = subprocess.Popen, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a tree; return its root when all nodes have started and those that exit are dead.

        Args:
            node: the root.
            start: starts the command, like Popen, perhaps by way of another program.
            options: what Popen takes.
        """
        port = self._listener.getsockname()[1]
        # Without the redirector of a virtual environment on Windows, a process more.
        command = [getattr(sys, "_base_executable", sys.executable), "-I", "-S", str(SOURCE)]
        command += [str(port), self._token, json.dumps(node.description())]
        root = start(command, stdin=subprocess.DEVNULL, **options)
        self._roots.append(root)
        names, leaving = node.names(), {member.name for member in node.walk() if member.dies}
        started = self._read_until(lambda: names <= set(self._nodes.values()))
        assert started, f"these never started: {sorted(names - set(self._nodes.values()))}"
        for connection, name in self._nodes.items():
            if name in leaving:
                connection.sendall(b"!")
        gone = self._read_until(lambda: not leaving & set(self._nodes.values()))
        assert gone, f"these should have left: {sorted(leaving)}"
        return root

    def contained(self, node: Node, **options: Any) -> TreePopen[bytes]:
        root = self.plant(node, start=TreePopen, **options)
        assert isinstance(root, TreePopen)
        return root

    def all_dead(self) -> bool:
        """Whether all that started are dead, and none is on its way.

        Windows closes the sockets of a dying process a moment before it is gone.
        Under Wine the socket of a process whose job is ended stays open at times: there the
        process table decides.
        """
        closed = self._read_until(lambda: not self._nodes, BOUND / 10 if WINDOWS else BOUND)
        return (closed or WINDOWS) and not psutil.wait_procs(self.living(), BOUND)[1]

    def living(self) -> list[psutil.Process]:
        """Return the living processes that were started for this planter."""
        return [process for process in psutil.process_iter() if self._token in _arguments(process)]

    def end(self) -> None:
        """Let all nodes leave, and end those that cannot."""
        self._listener.close()
        for connection in self._nodes:
            connection.close()
        for process in self.living():
            with suppress(psutil.NoSuchProcess):
                process.resume()
                process.kill()
        for root in self._roots:
            root.wait(BOUND)
        deadline = time.monotonic() + BOUND
        while self.living() and time.monotonic() < deadline:  # they are no children of ours
            time.sleep(0.01)

    def _read_until(self, enough: Callable[[], bool], within: float = BOUND) -> bool:
        return read_until(enough, lambda: [self._listener, *self._nodes], self._read, within)

    def _read(self, source: socket.socket) -> None:
        """Accept a node, record what it sends, or drop the connection of a dead node."""
        if source is self._listener:
            connection, _ = source.accept()
            self._nodes[connection] = ""
            return
        try:
            line = source.recv(1 << 10)
        except ConnectionResetError:
            line = b""
        if line:
            name, pid = line.decode().split()
            self._nodes[source] = name
            self.pids[name] = int(pid)
        else:
            del self._nodes[source]
            source.close()


def _arguments(process: psutil.Process) -> list[str]:
    """Return the command line of a process; nothing if it is dead or hides it."""
    try:
        return process.cmdline()
    except (psutil.Error, OSError):
        return []
