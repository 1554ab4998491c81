"""Lead a group in the console, run a command in it, and exit with its code.

Run as ``python -I -S group_leader.py HANDLE COMMAND...``, in a console group of its own.
Windows switches Ctrl-C off for the leader of a new group. The leader switches it on, and what it
starts inherits that: the command gets the keys of the console, and CTRL_BREAK can be sent to it.
HANDLE is a pipe. The leader closes it when the command runs; before that, it writes the error of
Windows where there is one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

assert sys.platform == "win32" or not TYPE_CHECKING  # what follows is for Windows alone

import msvcrt


def main() -> None:
    """Run the command."""
    for number in (signal.SIGINT, signal.SIGBREAK):  # unlike the switch, this is not inherited
        signal.signal(number, signal.SIG_IGN)
    kernel32 = ctypes.WinDLL("kernel32")
    kernel32.SetConsoleCtrlHandler(None, 0)
    handle = int(sys.argv[1])
    os.set_handle_inheritable(handle, False)  # noqa: FBT003 - positional only
    with open(msvcrt.open_osfhandle(handle, 0), "w", encoding="utf-8") as report:
        try:
            command = subprocess.Popen(sys.argv[2:], close_fds=False)  # noqa: S603 - the user's
        except OSError as error:
            report.write(f"{error.winerror} {error.strerror}")
            return
    kernel32.ExitProcess(ctypes.c_uint32(command.wait()))  # sys.exit() cannot: 0xC000013A


main()
