"""Clusters for the tests of fleets, in processes of their own, and agents on them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from distributed import Client

from proctree_kill.fleet import Fleet, FleetSession

from .nodes import Node
from .socket_planter import SocketPlanter
from .times import BOUND, LONG

PROGRAM = Path(__file__).with_name("fleet_cluster.py")

SLEEP = [sys.executable, "-I", "-S", "-c", f"import time; time.sleep({LONG})"]


class Part:
    """A process of a cluster.

    Attributes:
        address: that of its scheduler or worker.
        process: the process.
        log: what it wrote to its standard error, once it has ended; empty if that is no pipe.
    """

    log = ""

    def __init__(self, *role: str, stderr: int = subprocess.DEVNULL) -> None:
        """Start it; return when it can be reached."""
        command = [sys.executable, str(PROGRAM), *role]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address, f"{role} did not start"


@contextmanager
def part(*role: str, stderr: int = subprocess.DEVNULL) -> Iterator[Part]:
    """Run a process of a cluster; end it and what it started."""
    running = Part(*role, stderr=stderr)
    try:
        yield running
    finally:
        # Workers that hang are killed first.
        running.log = running.process.communicate(timeout=2 * BOUND)[1] or ""


@contextmanager
def client_of(address: str) -> Iterator[Client]:
    """Connect to a scheduler."""
    with Client(address, set_as_default=False) as client:
        yield client


def start(
    fleet: Fleet, planter: SocketPlanter, session_id: str, node: Node, **options: Any
) -> FleetSession:
    """Have a fleet start a planted agent; return when all of its nodes have started."""
    sessions = []

    def spawn(command: list[str], **popen: Any) -> subprocess.Popen[bytes]:
        sessions.append(fleet.spawn_agent(session_id, command, **popen, **options))
        return cast("subprocess.Popen[bytes]", Elsewhere())

    planter.plant(node, start=spawn)
    return sessions[0]


class Elsewhere:
    """The root of a tree that a worker process reaps."""

    def wait(self, timeout: float) -> None:
        """Wait for nothing."""


def pid_of(client: Client, worker: str) -> int:
    """Return the pid of a worker process."""
    pid: int = client.run(os.getpid, workers=[worker])[worker]
    return pid
