"""What a root leaves behind: how long it may stay, and its end."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, get_args

from .._containment.guard import KILL_ON_PARENT_EXIT
from .._engine.killing import Killing
from .._engine.process import ExitWaiter
from .._engine.rest import RestWaiter
from .._engine.spare import check_spare, sparing
from .._models.policy import KillPolicy
from .._models.result import Fate, KillResult
from .._systems.scarcity import retry
from .time_limit import TimeLimit
from .transfer import Transfer

if TYPE_CHECKING:
    from .._containment.containment import Containment
    from .._engine.spare import Spare
    from .._engine.target import Aim
    from .._models.identity import ProcessIdentity
    from .._models.tree import SpareCandidate

Choice = Literal["end", "wait", "leave"]
LINGER = 1.0
"""Seconds that leftovers have by default to leave by themselves, from the last byte of output."""
FORCE = KillPolicy(grace=0)
UNTOUCHED = (Fate.ALREADY_GONE, Fate.SPARED)

_log = logging.getLogger("proctree_kill")


class Leftovers(NamedTuple):
    """What becomes of the processes that are left when a root has ended."""

    choice: Choice
    linger: float
    spare: Spare | None

    @classmethod
    def read(
        cls, choice: Choice, linger: float, spare: Spare | None, *, kill_on_parent_exit: bool
    ) -> Leftovers:
        """Check the options of a caller.

        Raises:
            ValueError: an option is out of range, or two of them contradict each other.
            TypeError: an option has the wrong type.
        """
        if choice not in get_args(Choice):
            text = f"leftovers is {choice!r}, expected 'end', 'wait' or 'leave'"
            raise ValueError(text)
        if isinstance(linger, bool) or not isinstance(linger, int | float):
            text = f"linger is {linger!r}, expected a number of seconds"
            raise TypeError(text)
        if not 0 <= linger <= sys.float_info.max:  # an int may be more
            text = f"linger is {linger!r}, expected seconds, 0 or more; 'wait' has no limit"
            raise ValueError(text)
        if choice == "leave" and kill_on_parent_exit:
            text = f"leftovers is 'leave', but {KILL_ON_PARENT_EXIT} would end what is left"
            raise ValueError(text)
        return cls(choice, linger, _asked_once(spare))


def any_ended(result: KillResult) -> bool:
    """Whether a process was left that was to be ended."""
    return any(outcome.fate not in UNTOUCHED for outcome in result.outcomes)


def _asked_once(spare: Spare | None) -> Spare | None:
    """Return the same, to be used for several looks at a tree.

    Raises:
        TypeError, ValueError, TargetRefusedError: as for ``kill_tree``.
    """
    spare = check_spare(spare)
    if not callable(spare):
        return spare
    answers: dict[ProcessIdentity, object] = {}

    def ask(member: SpareCandidate) -> object:
        if member.identity not in answers:
            try:
                answers[member.identity] = spare(member)
            except Exception:  # noqa: BLE001 - as in a scan: what was begun goes on
                _log.exception("spare raised for process %s, which is spared", member.identity.pid)
                answers[member.identity] = True
        return answers[member.identity]

    return ask


class Root(Protocol):
    """A ``TreePopen``."""

    pid: int
    containment: Containment

    @property
    def identity(self) -> ProcessIdentity:
        """The identity of the root."""

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""

    def aim(self) -> Aim:
        """Return what belongs to the tree."""

    def forget(self) -> None:
        """Remove the record."""

    def end_kill(self, result: KillResult) -> KillResult:
        """Let what was spared be, and remove the record, if nothing else is left."""

    def leave(self) -> None:
        """Let what is left of the tree be."""


class Rest:
    """A root from its start to its end, and what it leaves behind.

    Attributes:
        hurried: whether :meth:`hurry` was called.
    """

    def __init__(
        self,
        process: Root,
        leftovers: Leftovers,
        transfer: Transfer | None = None,
    ) -> None:
        """Begin with a process that has started.

        Args:
            process: the root.
            leftovers: what becomes of the rest.
            transfer: its pipes, where this process reads them.
        """
        self.hurried = False
        self._process = process
        self._choice, self._linger, self._spare = leftovers
        self._transfer = transfer or Transfer(needed=False)
        self._changing = threading.Lock()
        self._wake: Callable[[], object] | None = None
        self._ended = 0.0
        self._spares = False  # whether a process that is spared was left
        self._last_byte: float | None = None  # of the rest, since the end of the root

    def run(self) -> KillResult | None:
        """Wait for the rest of a root that has ended, then end it; return what was ended."""
        self.wait()
        return self.finish(FORCE if self.hurried else KillPolicy())

    def hurry(self) -> None:
        """End a wait, or let the force begin; from any thread."""
        with self._changing:
            self.hurried = True
            if self._wake is not None:
                self._wake()

    def await_root(self, limit: TimeLimit) -> bool:
        """Wait for the end of the root; return False after its time or a hurry."""
        process = self._process
        with ExitWaiter(process.pid, process.identity) as waiter, self._woken_by(waiter.wake):
            while not waiter.wait(max(limit() - time.monotonic(), 0)):
                if self.hurried or limit.reason is not None:
                    return False
            return True

    def wait(self, limit: TimeLimit | None = None) -> bool:
        """Give the rest the time to leave by itself, when the root has ended.

        Args:
            limit: the time of the whole command; default none.

        Returns:
            Whether the command has ended in this time. It has not if it is still writing, or if
            the whole tree is waited for.
        """
        until = limit or TimeLimit()
        self._transfer.catch_up()
        self._process.wait()  # it may only have looked dead
        if self._choice == "leave" or self.hurried:
            return True
        self._ended = time.monotonic()
        gone = self._process.containment.is_empty or self._await_rest(until)
        if gone and not self._spares:  # a pipe that is open still is held by an unknown process
            if self._choice == "wait":
                self._ended = time.monotonic()
            with self._woken_by(self._transfer.wake):
                gone = self._transfer.wait(lambda: self._silence_end(until))
        if gone or time.monotonic() < until():
            return True
        # What was idle had no byte to write in all this time: the linger ends early.
        silent = self._last_byte is None or until.reason == "idle_timeout"
        return self._choice != "wait" and silent

    def end(self, policy: KillPolicy) -> KillResult | None:
        """End what is left; return None if no process was left."""
        return retry(lambda: self._end(policy))

    def _end(self, policy: KillPolicy) -> KillResult | None:
        process = self._process
        if process.poll() is not None and process.containment.is_empty:
            process.forget()
            return None
        killing = Killing(process, policy, spare=self._spare)
        with self._woken_by(killing.hurry):
            result = killing.run()
        return process.end_kill(result)

    def finish(self, policy: KillPolicy) -> KillResult | None:
        """End or leave the rest of a root that has ended; return None if nothing was ended."""
        if self._choice == "leave":
            self._process.leave()
            return None
        result = self.end(policy)
        return result if result and any_ended(result) else None

    def _await_rest(self, until: TimeLimit) -> bool:
        """Wait for the end of all members that are not spared; return whether they ended."""

        def silence_end() -> float:
            if self._choice == "wait":
                return until()
            return self._silence_end(until, may_write=waiter.may_write)

        aim = self._process.aim()._replace(spared=sparing(self._spare))
        with RestWaiter(aim) as waiter, self._woken_by(waiter.wake):
            ended = waiter.wait(silence_end)
            self._spares = waiter.spares
        return ended

    def _silence_end(
        self,
        until: TimeLimit,
        may_write: Callable[[Collection[tuple[int, int]]], bool] = lambda _: True,
    ) -> float:
        """Return when the rest will have been silent for the linger, or the time is over."""
        last_byte = self._transfer.last_byte
        if last_byte is not None and may_write(self._transfer.files):
            self._last_byte = last_byte
        return min(until(), (self._last_byte or self._ended) + self._linger)

    @contextmanager
    def _woken_by(self, wake: Callable[[], object]) -> Iterator[None]:
        with self._changing:
            self._wake = wake
            if self.hurried:
                wake()
        try:
            yield
        finally:
            with self._changing:
                self._wake = None
