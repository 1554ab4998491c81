"""Locks on open files that the system takes back when their owner dies."""

from __future__ import annotations

import errno
import os

from .machine import optional

_fcntl = optional("fcntl")
_msvcrt = optional("msvcrt")

FAR = 1 << 30
"""A byte that no record has: Windows' locks keep others from reading what they cover."""
WITHOUT_LOCKS = {errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What a file system says that has none (flock(2), _locking).

Whoever comes second is told EWOULDBLOCK, on Windows EACCES, and nothing in particular by Wine.
"""


def lock(fd: int) -> bool:
    """Lock an open file; False where somebody else has it.

    A file system without locks lets everybody through: what is done under the lock is checked
    by identities as well, so that the worst is to be done twice.
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
