"""How the guard starts: it ignores signals, says hello, and only then imports what it needs."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

NOT_IGNORED = ("SIGKILL", "SIGSTOP", "SIGCHLD")
"""The first two cannot be ignored, the third ends nothing."""
PR_SET_PDEATHSIG = 1
"""prctl(2): it is sent when the thread that is our parent ends, and each that follows it."""


def main(owner: str, hello: str) -> None:
    """Watch the owner until it dies, and end its trees then.

    Args:
        owner: its identity and its program image, in JSON.
        hello: what its owner waits for on the standard output.
    """
    for number in signal.valid_signals() - {getattr(signal, name) for name in NOT_IGNORED}:
        signal.signal(number, signal.SIG_IGN)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):  # Linux: a guard that is stopped is continued at its owner's death
        libc.prctl(PR_SET_PDEATHSIG, signal.Signals["SIGCONT"], 0, 0, 0)
    os.write(sys.stdout.fileno(), hello.encode())
    with open(os.devnull, "wb") as null:  # noqa: PTH123 - pathlib is slow to import
        os.dup2(null.fileno(), sys.stdout.fileno())
    # Now, and all of it: when the owner is dead, its files may be gone as well.
    from .process import run  # noqa: PLC0415 - the hello comes first

    run(owner)
    os._exit(0)
