"""Play one process of the demo's tree, and start those below it.

Run as ``python -I -S demo_process.py ROLE``.
Standard output is the pipe on which each process says who it is as soon as it is ready;
it comes to its end when the last of them is dead.
Standard input is the demo's hold on them: at its end, whoever still lives leaves.
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
    "server": ("deaf", "stopped", "middle", "loner", "launcher"),
    "middle": ("orphan",),
    "launcher": ("daemon",),
}
"""Who is started by whom; the shell starts the server."""
LEADERS = ("loner", "launcher")
"""Who leaves the session of its parent for one of its own."""
PASSING = ("middle", "launcher")
"""Who is gone once its child is started."""
WINDOWS = {"server": ("worker", "deaf", "middle"), "middle": ("orphan",)}
"""The same without sessions and stopping."""

_os: Any = os  # half of what follows is there on POSIX only
_signal: Any = signal


def play(role: str) -> None:
    """Be this process until something ends it, or until the demo lets go."""
    take_name(role)
    if role in LEADERS:
        _os.setsid()
    if role == "deaf":
        signal.signal(getattr(signal, "SIGBREAK", signal.SIGTERM), signal.SIG_IGN)
    children = [start(one) for one in below(role)]
    for child, name in zip(children, below(role), strict=True):
        settle(child, name)
    os.write(1, f"{role} {os.getpid()}\n".encode())
    if role in PASSING:
        return
    if role == "stopped":
        os.kill(os.getpid(), _signal.SIGSTOP)
    while os.read(0, 1):
        pass
    for child in children:
        child.kill()  # who is stopped does not notice the end of its input


def below(role: str) -> tuple[str, ...]:
    """Return the children of a role on this system."""
    return (CHILDREN if POSIX else WINDOWS).get(role, ())


def start(role: str) -> subprocess.Popen[bytes]:
    """Start a child that plays a role; what is not named is not handed down on Windows."""
    command = [sys.executable, "-I", "-S", __file__, role]
    return subprocess.Popen(command, stdin=0, stdout=1)  # noqa: S603 - this very file


def settle(child: subprocess.Popen[bytes], role: str) -> None:
    """Wait until a child that leaves or stops has done so."""
    if role in PASSING:
        child.wait()
    if role == "stopped":
        _os.waitid(_os.P_PID, child.pid, _os.WSTOPPED | _os.WNOWAIT)


def take_name(role: str) -> None:
    """Let lists of processes show the role, where the kernel allows it (proc_pid_comm(5))."""
    if POSIX and (comm := Path("/proc/self/comm")).exists():
        comm.write_text(role)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # the demo let go before we could speak
        play(sys.argv[1])
