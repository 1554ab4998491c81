"""The session console as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from proctree_kill import TreePopen

ROOT = Path(__file__).parents[2]
FOREVER = 1000.0  # seconds of grace; pass in full unless force ends it


class Server:
    """A running console.

    Attributes:
        url: its address.
        port: the port of that address.
        process: its tree, which holds its agents too.
        folder: the folder of its records.
    """

    def __init__(self, process: TreePopen[bytes], folder: Path) -> None:
        """Wait until it prints its address."""
        assert process.stdout
        line = process.stdout.readline().decode()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, f"the console did not start: {line!r}"
        self.process = process
        self.folder = folder
        self.url = found[0]
        self.port = int(found[1])

    def kill_guard(self) -> None:
        """Kill the guard, so that only a recovery ends what a crash leaves."""
        children = psutil.Process(self.process.pid).children()
        guards = [child for child in children if "_guard" in " ".join(child.cmdline())]
        assert len(guards) == 1
        guards[0].kill()

    def crash(self) -> None:
        """Kill the server, and nothing else."""
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait() == -signal.SIGKILL

    def written(self) -> set[str]:
        """Return the names of the records of sessions that are not over."""
        return {path.name for path in self.folder.rglob("*") if path.is_file()}


@contextmanager
def serving(folder: Path, *, port: int = 0, grace: float = FOREVER) -> Iterator[Server]:
    """Run a console on a folder, and end it with all that it started."""
    module = "docs.examples.session_console"
    options = [f"--port={port}", f"--grace={grace}", f"--directory={folder}"]
    env = os.environ | {"HOME": str(folder.parent)}
    with TreePopen(
        [sys.executable, "-m", module, *options], cwd=ROOT, env=env, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Server(process, folder)
        finally:
            process.stop(grace=0)


def living(members: list[psutil.Process]) -> list[psutil.Process]:
    """Return the living processes: a zombie is dead."""
    return [member for member in members if member.is_running() and not _is_zombie(member)]


def _is_zombie(process: psutil.Process) -> bool:
    """Whether a process is dead, and perhaps reaped by now."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def listens(port: int) -> bool:
    """Whether a process listens on a port of this machine."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
