"""Planted trees: their pids, whether they are dead, and how they end in any case.

**Start**: each node writes its pid to an inherited pipe after it has installed its handlers,
and the planter reads until all have written.
**Death**: the kernel closes the last write end of that pipe when the last process that inherited
it dies, and it does so before that process can be seen dead.

What was planted ends with its planter, by ways that owe nothing to the library:
a cgroup where there is one, pidfds opened at the start, and a search for holders of the pipe.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from .capabilities import has
from .cgroups import ScratchCgroup
from .pidfds import open_pidfd
from .times import BOUND
from .waiting import read_until


class HeldProcess:
    """A planted process, held so that a later owner of its number is never signalled."""

    def __init__(self, pid: int) -> None:
        """Hold the process that has this number now.

        Raises:
            ProcessLookupError: there is none.
        """
        self.pid = pid
        self.fd = open_pidfd(pid) if has("pidfd") else None
        try:
            self.process = psutil.Process(pid)
        except psutil.NoSuchProcess as error:
            self.close()
            raise ProcessLookupError(pid) from error

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it is dead."""
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if self.fd is None:
                self.process.send_signal(number)
            else:
                signal.pidfd_send_signal(self.fd, number)

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


class Tree:
    """A planted tree, from the root's start to the last member's death.

    Attributes:
        pids: the pids of the nodes that have started, by name.
        reader: the end of the pipe to which they write.
    """

    def __init__(self, reader: int, cgroup: ScratchCgroup | None, names: Collection[str]) -> None:
        """Begin without a process.

        Args:
            reader: the end of a pipe that the processes will inherit.
            cgroup: where they will be, if there is any.
            names: the nodes that will report.
        """
        self.pids: dict[str, int] = {}
        self.reader = reader
        self._root: subprocess.Popen[bytes] | None = None
        self._held: list[HeldProcess] = []
        self._cgroup = cgroup
        self._names = names
        self._unread = b""
        self._ended = False

    @property
    def root(self) -> subprocess.Popen[bytes]:
        """Return the root, if it is the planter's child."""
        assert self._root
        return self._root

    @root.setter
    def root(self, root: subprocess.Popen[bytes]) -> None:
        self._root = root

    def all_dead(self, within: float = 0) -> bool:
        """Whether every member is dead, at the latest after ``within`` seconds.

        Nothing is lost by asking at once: a process closes its files before it can be seen dead.
        Its cgroup is empty a moment after that, for which this waits.
        """
        dead = self._read_until(lambda: self._ended, within)
        return dead and (self._cgroup is None or self._cgroup.is_empty(BOUND))

    def state(self, name: str) -> str:
        """Return what psutil calls the state of a node."""
        return psutil.Process(self.pids[name]).status()

    def await_started(self, *names: str) -> None:
        """Wait until these nodes have started; by default all that were described."""
        missing = set(names or self._names)

        def complete() -> bool:
            self._record_started()
            return self._ended or missing <= self.pids.keys()

        self._read_until(complete, BOUND)
        silent = missing - self.pids.keys()
        assert not silent, f"these nodes never started: {sorted(silent)}"

    def end(self) -> None:
        """End every process that is left, and give everything back."""
        try:
            self._kill()
            if self._root:
                self._root.wait(BOUND)
            assert self.all_dead(BOUND), "a planted tree cannot be ended"
        finally:
            self.close()

    def close(self) -> None:
        """Close every descriptor and remove the cgroup."""
        for held in self._held:
            held.close()
        for stream in self._streams():
            stream.close()
        os.close(self.reader)
        if self._cgroup:
            self._cgroup.remove()

    def _streams(self) -> list[IO[bytes]]:
        """Return our ends of the root's pipes."""
        root = self._root
        streams = (root.stdin, root.stdout, root.stderr) if root else ()
        return [stream for stream in streams if stream]

    def _read_until(self, enough: Callable[[], bool], within: float) -> bool:
        return read_until(enough, lambda: [self.reader], self._read, within)

    def _read(self, reader: int) -> None:
        text = os.read(reader, 1 << 16)
        self._unread += text
        self._ended = not text

    def _record_started(self) -> None:
        """File and hold every node that has reported since."""
        *lines, self._unread = self._unread.split(b"\n")
        for name, pid, start in (line.rsplit(maxsplit=2) for line in lines):
            self.pids[name.decode()] = int(pid)
            with suppress(ProcessLookupError):
                self._hold(int(pid), int(start))

    def _hold(self, pid: int, start: int) -> None:
        """Hold a process, if its number is still that of the node that reported."""
        held = HeldProcess(pid)
        if start_ticks(pid) == start:
            self._held.append(held)
        else:
            held.close()

    def _kill(self) -> None:
        """Kill every process, without the library."""
        if self._root and self._root.stdin:
            self._root.stdin.close()
        if self._cgroup:
            self._cgroup.kill()
        for held in self._held:
            held.send(signal.SIGKILL)
        if self._root:
            self._root.kill()
        if has("procfs") and not self._cgroup:
            self._kill_writers()

    def _kill_writers(self) -> None:
        """Freeze, then kill, each process that can still write to the pipe, until none can."""
        deadline = time.monotonic() + BOUND
        while not self.all_dead() and time.monotonic() < deadline:
            frozen: set[int] = set()
            while found := set(self._writers()) - frozen:
                frozen |= found
                self._send_writers(found, signal.SIGSTOP)
            self._send_writers(frozen, signal.SIGKILL)

    def _send_writers(self, pids: set[int], number: signal.Signals) -> None:
        """Send a signal to those of these processes that still hold the pipe."""
        for pid in pids:
            with suppress(ProcessLookupError):
                held = HeldProcess(pid)
                if self._writes(pid):
                    held.send(number)
                held.close()

    def _writers(self) -> Iterator[int]:
        """Yield every process that holds a writing end of the pipe."""
        return (pid for pid in psutil.pids() if self._writes(pid))

    def _writes(self, pid: int) -> bool:
        """Whether a process holds a writing end of the pipe."""
        pipe = os.fstat(self.reader)
        try:
            files = list(Path(f"/proc/{pid}/fd").iterdir())
            return any(
                os.path.samestat(file.stat(), pipe) and file.lstat().st_mode & 0o200
                for file in files
            )
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False


def start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks, or 0 where there is no ``/proc``."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(stat.rpartition(b")")[2].split()[19])
