"""Types Ctrl-C in a console of its own: once for each text that a command writes.

Run as ``python -I -S typist.py TEXTS FLAGS COMMAND...`` with CREATE_NO_WINDOW.
TEXTS is a JSON list. Ctrl-C is typed after the first line with the first text, and so on.
FLAGS are the creation flags of the command. Its output is passed through, then its exit code.
"""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
from typing import Any

_ctypes: Any = ctypes  # WinDLL exists on Windows only
CTRL_C_EVENT, WHOLE_CONSOLE = 0, 0  # what the console does when Ctrl-C is typed

signal.signal(signal.SIGINT, signal.SIG_IGN)  # this is not inherited
with subprocess.Popen(
    sys.argv[3:],
    creationflags=int(sys.argv[2]),
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
) as command:
    assert command.stdout is not None
    for text in json.loads(sys.argv[1]):
        for line in command.stdout:
            sys.stdout.write(line)
            if text in line:
                break
        _ctypes.WinDLL("kernel32").GenerateConsoleCtrlEvent(CTRL_C_EVENT, WHOLE_CONSOLE)
    sys.stdout.write(command.stdout.read())
sys.stdout.write(f"exit code {command.returncode}\n")
