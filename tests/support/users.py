"""The ordinary user of the tests: an account without any privilege."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import NamedTuple


class Account(NamedTuple):
    """The user that runs a process."""

    uid: int
    gid: int
    interpreter: str


@functools.cache
def ordinary_user() -> Account | None:
    """Return the account that root becomes, or our own if we are ordinary.

    None without an interpreter that it may run. Root's own Python may lie where an ordinary user
    must not look: then the system's Python serves.
    """
    if not hasattr(os, "geteuid"):  # Windows
        return None
    if os.geteuid():
        return Account(os.getuid(), os.getgid(), sys.executable)
    import pwd  # noqa: PLC0415 - not on every system

    entry = pwd.getpwnam("nobody")
    for interpreter in (sys.executable, "/usr/bin/python3"):
        account = Account(entry.pw_uid, entry.pw_gid, interpreter)
        if _can_run(account):
            return account
    return None


def _can_run(account: Account) -> bool:
    """Whether the account may start its interpreter."""
    try:
        done = subprocess.run(
            [account.interpreter, "-I", "-S", "-c", "import json, ctypes"],
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0
