"""One process by its identity: which it is, what it shows, when it ends."""

from __future__ import annotations

import math
import threading
import time
from contextlib import ExitStack
from typing import Self

from .._models.errors import TargetRefusedError
from .._models.identity import ProcessIdentity
from .._systems import current
from .._systems.contract import Details
from .._systems.member import ALIVE, identity_of, is_same
from .pids import check_pid


def identify(pid: int) -> ProcessIdentity:
    """Return the identity of the process that has a number now.

    Args:
        pid: the number of a process, alive or a zombie.

    Raises:
        TypeError: it is not an integer.
        TargetRefusedError: no process can have this number, or it is a thread id.
        ProcessLookupError: there is no such process.
    """
    check_pid(pid)
    with current() as system:
        member = system.bind(pid)
        if member is not None:
            return identity_of(member)
        if (reason := system.refusal(pid, None)) is not None:
            raise TargetRefusedError(pid, reason)
    text = f"there is no process {pid}"
    raise ProcessLookupError(text)


def details(identity: ProcessIdentity) -> Details:
    """Read what a process shows of itself; nothing where its number means another one by now."""
    with current() as system:
        member = system.bind(identity.pid)
        if member is None or not is_same(member, identity):
            return Details()
        found = system.details(member)
        return found if system.owns_number(member) else Details()


def command_line(identity: ProcessIdentity) -> tuple[str, ...] | None:
    """Read the arguments of a process; None where it is gone, hides them, or is in execve(2)."""
    with current() as system:
        member = system.bind(identity.pid)
        if member is None or is_same(member, identity) is False:
            return None
        found = tuple(system.arguments(member))
        return found if any(found) and system.owns_number(member) else None


class ExitWaiter:
    """A wait for one process that :meth:`wake` can end from another thread.

    Attributes:
        is_recycled: whether the number was another process's when this began.
    """

    def __init__(self, pid: int, identity: ProcessIdentity | None = None) -> None:
        """Bind the process that has this number now.

        Args:
            pid: the number.
            identity: the process that is meant; if the number is another's by now, it has ended.
        """
        self._closing = threading.Lock()
        self._closed = False
        with ExitStack() as stack:  # closes the system if binding fails
            self._system = stack.enter_context(current())
            member = self._system.bind(pid)
            self.is_recycled = (
                member is not None and identity is not None and is_same(member, identity) is False
            )
            self._member = None if self.is_recycled else member
            stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def is_of(self, identity: ProcessIdentity) -> bool:
        """Whether this process is the one that is waited for; a doubt counts as no."""
        return self._member is not None and is_same(self._member, identity) is True

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the process ends.

        Args:
            seconds: how long at most; None for ever; 0 only looks.

        Returns:
            Whether it has ended: False after the time or after :meth:`wake`.
        """
        until = math.inf if seconds is None else time.monotonic() + seconds
        member = self._member
        while (
            member is not None and member.state == ALIVE and not self._system.wait([member], until)
        ):
            if self._system.hurried or time.monotonic() >= until:
                return False
        return True

    def wake(self) -> None:
        """End the wait, now or as soon as it begins; callable from any thread."""
        with self._closing:
            if not self._closed:
                self._system.hurry()

    def close(self) -> None:
        """Close the descriptors; not while another thread waits."""
        with self._closing:
            self._closed = True
            self._system.close()
