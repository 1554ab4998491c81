"""Ignoring all that a process can ignore."""

from __future__ import annotations

import signal
import threading
from typing import NoReturn

NOT_IGNORED = {"SIGKILL", "SIGSTOP", "SIGCHLD", "CTRL_C_EVENT", "CTRL_BREAK_EVENT"}
"""What cannot be ignored, and SIGCHLD, without which no child can be waited for."""


def ignore_signals() -> None:
    """Ignore all signals, here and in the programs started from here: exec keeps it (signal(7)).

    Faults of the process itself (SIGSEGV and the like) come in spite of it.
    """
    for number in signal.Signals:
        if number.name not in NOT_IGNORED:
            signal.signal(number, signal.SIG_IGN)


def stay() -> NoReturn:
    """Stay for ever."""
    while True:
        threading.Event().wait()
