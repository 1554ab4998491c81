"""Binding the model of an identity to what the system says."""

from __future__ import annotations

import math
import threading
import time
from contextlib import closing
from enum import Enum
from typing import NamedTuple, Self

from .._models.errors import TargetRefusedError
from .._models.identity import ProcessIdentity
from .._systems import current
from .._systems.contract import Live
from .._systems.member import ALIVE, identity_of
from .target import check_pid


def identify(pid: int) -> ProcessIdentity:
    """Tell which process a number means now.

    Args:
        pid: the number of a process, alive or a zombie.

    Raises:
        TypeError: it is no integer.
        TargetRefusedError: it is no number of a process, or a thread's.
        ProcessLookupError: there is no such process.
    """
    check_pid(pid)
    system = current()
    try:
        member = system.bind(pid)
        if member is None:
            if (reason := system.refusal(pid, None)) is not None:
                raise TargetRefusedError(pid, reason)
            text = f"there is no process {pid}"
            raise ProcessLookupError(text)
        return identity_of(member)
    finally:
        system.close()


def live(identity: ProcessIdentity) -> Live:
    """Look at a process; nothing is told where its number means another one by now."""
    with closing(current()) as system:
        member = system.bind(identity.pid)
        if member is None or not identity.same_process(identity_of(member)):
            return Live()
        shown = system.show(member)
        return shown if system.owns_number(member) else Live()


class ExitWaiter:
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
        return identity.same_process(identity_of(self._member))

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


class Presence(Enum):
    """Whether a process that was written down is still there: yes, no, or nobody can tell."""

    LIVES = "lives"
    DEAD = "dead"
    """Its number is free, or a zombie's whose last thread has ended."""
    RECYCLED = "recycled"
    UNKNOWN = "unknown"


class Sighting(NamedTuple):
    """What was found under a number: the name of its process, its real and effective uid."""

    presence: Presence
    name: str | None = None
    users: tuple[int, ...] = ()


def sight(identity: ProcessIdentity) -> Sighting:
    """Look for a process that was identified earlier, perhaps by somebody who is dead."""
    with closing(current()) as system:
        member = system.bind(identity.pid)
        if member is None:
            return Sighting(Presence.DEAD)
        same = identity.same_process(identity_of(member))
        users = tuple(system.users(member))
    if same is None:
        return Sighting(Presence.UNKNOWN, member.name)
    if not same:
        return Sighting(Presence.RECYCLED, member.name)
    presence = Presence.LIVES if member.state == ALIVE else Presence.DEAD
    return Sighting(presence, member.name, users)
