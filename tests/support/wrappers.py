"""A wrapper that passes a request on, below the command line's ``run``."""

from __future__ import annotations

import signal
import subprocess
import sys

from .times import BOUND

TIMEOUT = 124  # the exit code
# Its child saves its state for a moment, and loses it at a second request.
WRAPPER = """
import os, signal, time
def save(*_):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
    time.sleep(0.4)
    os.write(1, b"saved\\n")
    os._exit(0)
child = os.fork()
if not child:
    signal.signal(signal.SIGTERM, save)
    os.write(1, b"there\\n")
    while True:
        signal.pause()
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
os.waitpid(child, 0)
"""


def run_wrapper(*, told: bool) -> None:
    """Have it ended by a signal or by its timeout; fail unless the state is saved."""
    options = ["--grace", "10"] if told else ["--grace", "10", "--timeout", "1"]
    run = [sys.executable, "-m", "proctree_kill", "run", *options, "--"]
    with subprocess.Popen(
        [*run, sys.executable, "-I", "-S", "-c", WRAPPER],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command:
        assert command.stdout
        assert command.stdout.readline() == "there\n"
        if told:
            command.send_signal(signal.SIGTERM)
        out, _ = command.communicate(timeout=BOUND)
    assert (command.returncode, out) == (-signal.SIGTERM if told else TIMEOUT, "saved\n")
