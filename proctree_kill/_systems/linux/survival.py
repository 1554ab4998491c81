"""Why a process lives on after SIGKILL."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from . import freezer, procfs


def reason(pid: int) -> str | None:
    """Say what keeps a killed process from dying; None where nothing shows it."""
    if (folder := freezer.folder_of(pid)) is not None:
        return f"it dies once the cgroup {folder} (version 1) is thawed: not only the tree is in it"
    found = [procfs.status(f"{pid}/task/{thread}") for thread in procfs.tasks(pid)]
    tracers = {int(fields.get(b"TracerPid", b"0")) for fields in found} - {0}
    if tracers:
        return f"process {min(tracers)} traces it, and has not let it die"
    if any(fields.get(b"State", b"").startswith(b"D") for fields in found):
        return "it is in uninterruptible sleep"
    return None
