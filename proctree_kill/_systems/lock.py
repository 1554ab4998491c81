"""Locks on open files, which the system removes when their owner dies."""

from __future__ import annotations

import errno
import os

from .machine import optional

_fcntl = optional("fcntl")
_msvcrt = optional("msvcrt")

FAR = 1 << 30
"""The byte that Windows locks, beyond any record: other processes cannot read what is locked."""
WITHOUT_LOCKS = {errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""Errors of a file system without locks (flock(2), _locking).

A file that is locked gives EWOULDBLOCK, on Windows EACCES, under Wine no certain error.
"""


def lock(fd: int) -> bool:
    """Lock an open file; return False if another process has it.

    On a file system without locks the answer is True: what is done under the lock is checked
    by identities as well, so at worst it is done twice.
    """
    try:
        if _fcntl is not None:
            _fcntl.flock(fd, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
        elif _msvcrt is not None:
            os.lseek(fd, FAR, os.SEEK_SET)
            _msvcrt.locking(fd, _msvcrt.LK_NBLCK, 1)
            os.lseek(fd, 0, os.SEEK_SET)
    except OSError as error:
        return error.errno in WITHOUT_LOCKS
    return True
