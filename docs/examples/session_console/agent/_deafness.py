"""Ignoring everything that a process can ignore."""

from __future__ import annotations

import signal
import threading
from typing import NoReturn

HEARD = {"SIGKILL", "SIGSTOP", "SIGCHLD", "CTRL_C_EVENT", "CTRL_BREAK_EVENT"}
"""What cannot be ignored, and the one without which nobody could wait for a child."""


def ignore_signals() -> None:
    """Ignore every signal, here and in all that is started from here: exec keeps that (signal(7)).

    Faults of the process itself (SIGSEGV and the like) come in spite of it.
    """
    for one in signal.Signals:
        if one.name not in HEARD:
            signal.signal(one, signal.SIG_IGN)


def stay() -> NoReturn:
    """Stay for ever."""
    while True:
        threading.Event().wait()
