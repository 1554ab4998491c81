"""What POSIX calls say of a pid: kill(2) and waitid(2)."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Any

_os: Any = os  # waitid exists on POSIX only, on macOS from Python 3.13 on


def may_signal(pid: int) -> bool:
    """Whether there is a process with this number that this one may signal."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def peek(pid: int) -> Any:  # noqa: ANN401 - os.waitid_result, which not every system has
    """Return how a child ended, without reaping it; None if it lives, False if it is no child."""
    if not hasattr(os, "waitid"):
        return False
    try:
        return _os.waitid(_os.P_PID, pid, _os.WEXITED | _os.WNOHANG | _os.WNOWAIT)
    except OSError as error:  # another process's child; a seccomp filter; no such number
        if error.errno not in (errno.ECHILD, errno.EPERM, errno.ENOSYS):
            raise
        return False


def await_dead_child() -> int | None:
    """Wait for the death of any child, and return its number; None where there is no child.

    It is not reaped. None also where the system has no such call or forbids it.
    """
    try:
        found = _os.waitid(_os.P_ALL, 0, _os.WEXITED | _os.WNOWAIT)
    except (AttributeError, OSError):
        return None
    pid: int = found.si_pid
    return pid


def reap(pid: int) -> None:
    """Reap a dead child, if no other thread has."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, _os.WNOHANG)


def exit_code(found: Any) -> int | None:  # noqa: ANN401 - as returned by peek
    """Turn the answer of waitid(2) into an exit code as ``subprocess`` has it."""
    if not found:
        return None
    code: int = found.si_status
    return code if found.si_code == _os.CLD_EXITED else -code
