"""Orphans of which this process, as pid 1 or as a subreaper, becomes the parent."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from .._spawn.popen import TreePopen
from .._systems.pid import await_dead_child, reap


class OrphanReaper:
    """Reaps all dead children but the root, which its ``TreePopen`` reaps.

    Only for a process that starts nothing else.
    """

    def __init__(self, root: TreePopen[Any]) -> None:
        """Begin just after the start of the root."""
        self._root = root
        self._stopped = False
        self._root_is_reaped = threading.Event()

    def start(self) -> None:
        """Reap in a thread, which ends with the last child."""
        with contextlib.suppress(RuntimeError):  # the system has no thread left
            threading.Thread(target=self._run, name="proctree_kill", daemon=True).start()

    def note_root(self) -> None:
        """Reap what died after the root, which was reaped."""
        self._root_is_reaped.set()

    def stop(self) -> None:
        """Reap no more: a kill reads the exit codes of what it reaps."""
        self._stopped = True
        self._root_is_reaped.set()

    def _run(self) -> None:
        while (pid := await_dead_child()) is not None and not self._stopped:
            if pid == self._root.pid and self._root.returncode is None:
                self._root_is_reaped.wait()
            else:
                reap(pid)
