"""Be one process of the tree of the demo, and start those below it.

Run as ``python -I -S demo_process.py ROLE``.
Each process writes its role and pid to standard output when it is ready. That pipe comes to
its end when the last process is dead.
At the end of standard input each process exits.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

TYPE_CHECKING = False  # importing typing takes longer than most processes here live
if TYPE_CHECKING:
    from typing import Any

POSIX = hasattr(os, "setsid")
CHILDREN = {
    "server": ("stubborn", "stopped", "middle", "leader", "launcher"),
    "middle": ("orphan",),
    "launcher": ("daemon",),
}
"""The children of each role; the shell starts the server."""
WINDOWS_CHILDREN = {"server": ("worker", "stubborn", "middle"), "middle": ("orphan",)}
"""The same without sessions and stopping."""
SESSION_LEADERS = ("leader", "launcher")
SHORT_LIVED = ("middle", "launcher")
"""The roles that exit once their child runs."""

_os: Any = os  # half of what follows exists on POSIX only
_signal: Any = signal


def play(role: str) -> None:
    """Be this process until it is ended, or until standard input ends."""
    if POSIX and (comm := Path("/proc/self/comm")).exists():  # proc_pid_comm(5)
        comm.write_text(role)
    if role in SESSION_LEADERS:
        _os.setsid()
    if role == "stubborn":
        signal.signal(getattr(signal, "SIGBREAK", signal.SIGTERM), signal.SIG_IGN)
    children = [start(child) for child in children_of(role)]
    for process, child in zip(children, children_of(role), strict=True):
        wait_until_settled(process, child)
    os.write(1, f"{role} {os.getpid()}\n".encode())
    if role in SHORT_LIVED:
        return
    if role == "stopped":
        os.kill(os.getpid(), _signal.SIGSTOP)
    while os.read(0, 1):
        pass
    for process in children:
        process.kill()  # a stopped process does not notice the end of its input


def children_of(role: str) -> tuple[str, ...]:
    """Return the children of a role on this system."""
    return (CHILDREN if POSIX else WINDOWS_CHILDREN).get(role, ())


def start(role: str) -> subprocess.Popen[bytes]:
    """Start a child that plays a role."""
    command = [sys.executable, "-I", "-S", __file__, role]
    # Windows hands down only the descriptors that are named
    return subprocess.Popen(command, stdin=0, stdout=1)  # noqa: S603 - this very file


def wait_until_settled(process: subprocess.Popen[bytes], role: str) -> None:
    """Wait until a child that exits or stops has done so."""
    if role in SHORT_LIVED:
        process.wait()
    if role == "stopped":
        _os.waitid(_os.P_PID, process.pid, _os.WSTOPPED | _os.WNOWAIT)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # the demo ended before we could write
        play(sys.argv[1])
