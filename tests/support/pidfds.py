"""Descriptors of processes that may be gone."""

from __future__ import annotations

import errno
import os


def open_pidfd(pid: int) -> int:
    """Open the process that has this number now.

    Raises:
        ProcessLookupError: there is none.
    """
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno == errno.EINVAL:  # before Linux 6.15: a session or group has the number
            raise ProcessLookupError(pid) from error
        raise
