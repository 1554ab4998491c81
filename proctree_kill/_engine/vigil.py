"""Waiting for the end of one process, and leaving it to be reaped by whom it belongs to."""

from __future__ import annotations

import math
import threading
import time
from typing import Self

from .._models.identity import ProcessIdentity
from .._systems import current
from .._systems.member import ALIVE
from .process import identity_of


class Vigil:
    """A wait for one process that :meth:`wake` can end from another thread.

    Attributes:
        is_recycled: whether the number was another process's when this began.
    """

    def __init__(self, pid: int, identity: ProcessIdentity | None = None) -> None:
        """Take hold of the process that has this number now.

        Args:
            pid: the number.
            identity: the process that is meant; if the number is another's by now, it has ended.
        """
        self._system = current()
        self._closing = threading.Lock()
        self._closed = False
        try:
            self._member = self._system.bind(pid)
            self.is_recycled = (
                identity is not None
                and self._member is not None
                and self._compare(identity) is False
            )
            if self.is_recycled:
                self._member = None
        except BaseException:
            self._system.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def is_of(self, identity: ProcessIdentity) -> bool:
        """Tell whether it is this process that is waited for."""
        return self._compare(identity) is True

    def _compare(self, identity: ProcessIdentity) -> bool | None:
        """Tell whether it is that process; None where that cannot be known."""
        if self._member is None:
            return False
        return identity.same_process(identity_of(self._member, self._system.boot_id))

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end of the process.

        Args:
            seconds: how long at most; None is for ever, 0 only looks.

        Returns:
            Whether it has ended: not when the time was over, nor after :meth:`wake`.
        """
        until = math.inf if seconds is None else time.monotonic() + seconds
        one = self._member
        while one is not None and one.state == ALIVE and not self._system.wait([one], until):
            if self._system.hurried or time.monotonic() >= until:
                return False
        return True

    def wake(self) -> None:
        """End the wait, now or as soon as it begins; callable from any thread."""
        with self._closing:
            if not self._closed:
                self._system.hurry()

    def close(self) -> None:
        """Let go, once nobody waits any more."""
        with self._closing:
            self._closed = True
            self._system.close()
