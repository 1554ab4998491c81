"""Planted trees: who was born in them, whether they are dead, and how they end in any case.

**Birth**: each node writes its pid to an inherited pipe after it has installed its handlers,
and the planter reads until all have spoken.
**Death**: the kernel closes the last write end of that pipe when the last who inherited it dies,
and it does so before that process can be seen dead.

What was planted ends with its planter, by ways that owe nothing to the library:
a cgroup where there is one, pidfds that were opened at birth, and a sweep over who holds the pipe.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from .capabilities import has
from .cgroups import ScratchCgroup

BOUND = 25.0
"""Seconds after which something that should have happened counts as a failure."""
LAG = 1.0
"""Seconds within which the kernel must have noted that a cgroup of the dead is empty."""


class Grip:
    """A hold on one planted process that a later owner of its number cannot inherit."""

    def __init__(self, pid: int) -> None:
        """Take hold of the process that has this number now.

        Raises:
            ProcessLookupError: nobody has it.
        """
        self.pid = pid
        self.fd = os.pidfd_open(pid) if has("pidfd") else None
        try:
            self.process = psutil.Process(pid)
        except psutil.NoSuchProcess as error:
            self.close()
            raise ProcessLookupError(pid) from error

    def send(self, number: signal.Signals) -> None:
        """Send a signal, to nobody if it is dead."""
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if self.fd is None:
                self.process.send_signal(number)
            else:
                signal.pidfd_send_signal(self.fd, number)

    def close(self) -> None:
        """Let go."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


class Tree:
    """A planted tree, from the root's birth to everybody's death.

    Attributes:
        pids: who was born under which name.
        ear: the end of the pipe on which they speak.
    """

    def __init__(self, ear: int, leaf: ScratchCgroup | None) -> None:
        """Begin with nobody, a pipe to listen to, and a cgroup where there is one."""
        self.pids: dict[str, int] = {}
        self.ear = ear
        self._root: subprocess.Popen[bytes] | None = None
        self._grips: list[Grip] = []
        self._leaf = leaf
        self._heard = b""

    @property
    def root(self) -> subprocess.Popen[bytes]:
        """Return the root, if it is the planter's child."""
        assert self._root
        return self._root

    @root.setter
    def root(self, root: subprocess.Popen[bytes]) -> None:
        """Own the root."""
        self._root = root

    def all_dead(self, within: float = 0) -> bool:
        """Tell whether everybody is dead, at the latest after ``within`` seconds.

        Nothing is lost by asking at once: a process closes its files before it can be seen dead.
        """
        dead = self._listen_until(lambda: False, within)
        return dead and (self._leaf is None or self._leaf.is_empty(max(within, LAG)))

    def state(self, name: str) -> str:
        """Return what psutil calls the state of a node."""
        return psutil.Process(self.pids[name]).status()

    def hear(self, names: Iterable[str]) -> None:
        """Wait until all of these have spoken."""
        missing = set(names)

        def complete() -> bool:
            self._file_births()
            return missing <= self.pids.keys()

        self._listen_until(complete, BOUND)
        silent = missing - self.pids.keys()
        assert not silent, f"these nodes never spoke: {sorted(silent)}"

    def end(self) -> None:
        """End everybody who is left, and give everything back."""
        try:
            self._kill()
            if self._root:
                self._root.wait(BOUND)
            assert self.all_dead(BOUND), "a planted tree cannot be ended"
        finally:
            self.close()

    def close(self) -> None:
        """Close every descriptor and remove the cgroup."""
        for grip in self._grips:
            grip.close()
        for stream in self._streams():
            stream.close()
        os.close(self.ear)
        if self._leaf:
            self._leaf.remove()

    def _streams(self) -> list[IO[bytes]]:
        """Return our ends of the root's pipes."""
        root = self._root
        return (
            [stream for stream in (root.stdin, root.stdout, root.stderr) if stream] if root else []
        )

    def _listen_until(self, enough: Callable[[], bool], within: float) -> bool:
        """Read the pipe until it is enough, or for so many seconds; tell whether it ended."""
        deadline = time.monotonic() + within
        poll = select.poll()
        poll.register(self.ear)
        while not enough():
            left = max(0.0, deadline - time.monotonic())
            if not poll.poll(left * 1000):
                return False
            said = os.read(self.ear, 1 << 16)
            if not said:
                return True
            self._heard += said
        return False

    def _file_births(self) -> None:
        """Take hold of everybody who has spoken since."""
        *births, self._heard = self._heard.split(b"\n")
        for name, pid, start in (line.rsplit(maxsplit=2) for line in births):
            self.pids[name.decode()] = int(pid)
            with suppress(ProcessLookupError):
                self._take_hold(int(pid), int(start))

    def _take_hold(self, pid: int, start: int) -> None:
        """Keep a grip on a process, if it is still the one that spoke."""
        grip = Grip(pid)
        if start_ticks(pid) == start:
            self._grips.append(grip)
        else:
            grip.close()

    def _kill(self) -> None:
        """Kill everybody, without the library."""
        if self._root and self._root.stdin:
            self._root.stdin.close()
        if self._leaf:
            self._leaf.kill()
        for grip in self._grips:
            grip.send(signal.SIGKILL)
        if self._root:
            self._root.kill()
        if has("procfs") and not self._leaf:
            self._sweep()

    def _sweep(self) -> None:
        """Freeze, then kill, whoever can still write to the pipe, until nobody can."""
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
                grip = Grip(pid)
                if self._writes(pid):
                    grip.send(number)
                grip.close()

    def _writers(self) -> Iterator[int]:
        """Yield every process that holds a writing end of the pipe."""
        return (pid for pid in psutil.pids() if self._writes(pid))

    def _writes(self, pid: int) -> bool:
        """Tell whether a process holds a writing end of the pipe."""
        pipe = f"pipe:[{os.fstat(self.ear).st_ino}]"
        try:
            files = list(Path(f"/proc/{pid}/fd").iterdir())
            return any(
                str(file.readlink()) == pipe and file.lstat().st_mode & 0o200 for file in files
            )
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False


def start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks, or 0 where nobody says so."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(stat.rpartition(b")")[2].split()[19])
