"""loky's ``kill_process_tree``: it uses force only, and waits for the root only."""

import os
import select
import signal

from loky.backend.utils import kill_process_tree


class _Child:
    """The part of ``multiprocessing.Process`` that loky uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)

    def kill(self) -> None:
        """Kill the root alone."""
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def join(self) -> None:
        """Wait for the death of the root without polling, as for a real child."""
        select.select([self._pidfd], [], [])
        os.close(self._pidfd)


def kill(pid: int, grace: float) -> int:
    """End a tree. loky knows no grace and reports nothing."""
    del grace
    kill_process_tree(_Child(pid))
    return 0
