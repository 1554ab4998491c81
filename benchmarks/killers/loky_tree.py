"""loky's ``kill_process_tree``: force only, and it waits for the root alone."""

import os
import select
import signal

from loky.backend.utils import kill_process_tree


class _Child:
    """As much of a ``multiprocessing.Process`` as loky uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)

    def kill(self) -> None:
        """Kill the root alone."""
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def join(self) -> None:
        """Wait for the root's death as a real child would be waited for: without polling."""
        select.select([self._pidfd], [], [])
        os.close(self._pidfd)


def kill(pid: int, grace: float) -> int:
    """End a tree; the grace is not used, and loky reports nothing."""
    del grace
    kill_process_tree(_Child(pid))
    return 0
