"""How a child ended, by a descriptor that is held from its start to its end."""

from __future__ import annotations

import errno
import os
import resource
import sys
from typing import TYPE_CHECKING, Any

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from ..child_exit import ChildExit, options
from . import pidfd


class PidfdExit(ChildExit):
    """The end of a child, which the kernel tells also once it was reaped (Linux 6.15)."""

    def __init__(self) -> None:
        """Begin without a child."""
        super().__init__()
        self._fd: int | None = None

    def hold(self, pid: int) -> None:
        """Open the child, unless the program needs its descriptors for other things."""
        super().hold(pid)
        try:
            fd = pidfd.open(pid)
        except OSError:  # none is free
            return
        if fd is not None and fd >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2:
            os.close(fd)
            return
        self._fd = fd

    def close(self) -> None:
        """Close the descriptor."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __del__(self) -> None:
        self.close()

    def _waitid(self, *, block: bool) -> Any:  # noqa: ANN401 - as in the base class
        if self._fd is not None:
            try:
                return os.waitid(os.P_PIDFD, self._fd, options(block=block))
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EBADF):  # Linux 5.3; it was closed
                    raise
        return super()._waitid(block=block)

    def _reaped_code(self) -> int | None:
        code = None if self._fd is None else pidfd.reaped_code(self._fd)
        return super()._reaped_code() if code is None else code
