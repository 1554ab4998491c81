"""A wrapper that passes a request on, below the command line's ``run``."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import nullcontext

from .signal_masks import blocked
from .times import BOUND

TIMEOUT = 124  # the exit code
# Its child saves its state for a moment, and loses it at a second request. Each takes a request
# that came before it had its handler as well: until then the signal is blocked.
WRAPPER = """
import os, signal, time
def take(handler):
    signal.signal(signal.SIGTERM, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
def save(*_):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
    time.sleep(0.4)
    os.write(1, b"saved\\n")
    os._exit(0)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
child = os.fork()
if not child:
    os.write(1, b"there\\n")
    take(save)
    while True:
        signal.pause()
take(lambda *_: os.kill(child, signal.SIGTERM))
os.waitpid(child, 0)
"""


def run_wrapper(*, told: bool) -> None:
    """Have it ended by a signal or by its timeout; fail unless the state is saved."""
    options = ["--grace", "10"] if told else ["--grace", "10", "--timeout", "1"]
    run = [sys.executable, "-m", "proctree_kill", "run", *options, "--"]
    # The signal of the timeout may come before the first code of the wrapper.
    with nullcontext() if told else blocked(signal.SIGTERM):
        started = subprocess.Popen(
            [*run, sys.executable, "-I", "-S", "-c", WRAPPER],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    with started as command:
        assert command.stdout
        assert command.stdout.readline() == "there\n"
        if told:
            command.send_signal(signal.SIGTERM)
        out, _ = command.communicate(timeout=BOUND)
    assert (command.returncode, out) == (-signal.SIGTERM if told else TIMEOUT, "saved\n")
