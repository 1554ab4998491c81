"""The session console as a process of its own, and its page as a test sees it."""

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
from typing import TYPE_CHECKING

import psutil

from proctree_kill import TreePopen

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

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


class Card:
    """What a page shows of one session."""

    def __init__(self, page: Page, where: Locator) -> None:
        """Begin with the article of the session."""
        self.page = page
        self.where = where
        self.state = where.locator(".state")
        self.message = where.locator(".message")
        self.dialog = where.get_by_role("dialog")
        self.stop = where.locator("button.stop")
        self.events = where.locator(".events li")
        self.rows = where.locator(".tree tr")
        self.log = where.locator(".log")

    def members(self) -> list[psutil.Process]:
        """Bind each process of the tree that is shown, while it lives."""
        return [psutil.Process(int(row.get_attribute("data-pid") or 0)) for row in self.rows.all()]

    def preview(self) -> int:
        """Return the port on which the agent's preview listens."""
        found = re.search(
            r"the preview listens on http://127\.0\.0\.1:(\d+)", self.log.inner_text()
        )
        assert found
        return int(found[1])


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
