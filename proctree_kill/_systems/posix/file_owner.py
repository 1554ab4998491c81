"""Whether a file may be acted upon, by its owner and mode."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

assert sys.platform != "win32" or not TYPE_CHECKING  # what follows is for POSIX

from ..contract import Trust

ROOT = 0


def trust(found: os.stat_result) -> Trust:
    """Check owner and mode; where there is an access list, the group's bits are its mask."""
    ourselves = os.geteuid()
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return Trust("its group or others may write it")
    if found.st_uid in (ourselves, ROOT):
        return Trust()
    if ourselves != ROOT:
        return Trust(f"it belongs to another user, uid {found.st_uid}")
    return Trust(uid=found.st_uid)
