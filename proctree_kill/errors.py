"""What this library refuses or reports by an exception.

::

    ProctreeKillError
    +-- TargetRefusedError   also a ValueError: nothing was touched
    +-- SurvivorsError       raised by KillResult.raise_for_survivors() only
    +-- PolicyError          also a ValueError: an option or a configuration is wrong
    +-- ContainmentError     also a RuntimeError: what was asked for is not to be had
    +-- RecordError          also a RuntimeError: a record cannot be written, or its folder read
    +-- SessionError         also a RuntimeError: a session cannot do what was asked of it

A process that survives or is denied is a value (:class:`~proctree_kill.ProcessOutcome`),
never an exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._models.identity import KillResult

__all__ = [
    "ContainmentError",
    "PolicyError",
    "ProctreeKillError",
    "RecordError",
    "SessionError",
    "SurvivorsError",
    "TargetRefusedError",
]


class ProctreeKillError(Exception):
    """The base of every exception that this library raises on its own account."""


class TargetRefusedError(ProctreeKillError, ValueError):
    """The target must not be ended; nothing was touched.

    Attributes:
        pid: the number that was asked for.
        reason: why it is refused, as the end of a sentence.
    """

    def __init__(self, pid: int, reason: str) -> None:
        """Keep the facts as the arguments, so that the exception pickles."""
        super().__init__(pid, reason)
        self.pid = pid
        self.reason = reason

    def __str__(self) -> str:
        return f"process {self.pid} is refused: {self.reason}"


class SurvivorsError(ProctreeKillError):
    """Somebody who was meant to die lives.

    Attributes:
        result: the whole result, outcomes of the dead included.
    """

    def __init__(self, result: KillResult) -> None:
        """Keep the result as the argument, so that the exception pickles."""
        super().__init__(result)
        self.result = result

    def __str__(self) -> str:
        alive = ", ".join(
            f"{one.name or '?'} ({one.identity.pid}, {one.fate})" for one in self.result.survivors
        )
        return f"{len(self.result.survivors)} still alive: {alive}"


class PolicyError(ProctreeKillError, ValueError):
    """Options or configuration are wrong.

    Attributes:
        problems: one sentence each, with the name, the value and what was expected.
    """

    def __init__(self, *problems: str) -> None:
        """Keep the problems as the arguments, so that the exception pickles."""
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(self.problems)


class ContainmentError(ProctreeKillError, RuntimeError):
    """A tree cannot be contained as it was asked for; nothing was started.

    Attributes:
        requested: what was asked for.
        reason: why it is not to be had.
    """

    def __init__(self, requested: str, reason: str) -> None:
        """Keep the facts as the arguments, so that the exception pickles."""
        super().__init__(requested, reason)
        self.requested = requested
        self.reason = reason

    def __str__(self) -> str:
        return f"containment {self.requested!r}: {self.reason}"


class RecordError(ProctreeKillError, RuntimeError):
    """A record cannot be written, or a folder of records cannot be read; no process is left.

    Attributes:
        path: the file or the folder.
        reason: why, as the end of a sentence.
    """

    def __init__(self, path: str, reason: str) -> None:
        """Keep the facts as the arguments, so that the exception pickles."""
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class SessionError(ProctreeKillError, RuntimeError):
    """A session cannot do what was asked of it; nothing was touched.

    Attributes:
        session_id: which session; None where it is the manager that refuses.
        reason: why, as the end of a sentence.
    """

    def __init__(self, session_id: str | None, reason: str) -> None:
        """Keep the facts as the arguments, so that the exception pickles."""
        super().__init__(session_id, reason)
        self.session_id = session_id
        self.reason = reason

    def __str__(self) -> str:
        who = "the manager" if self.session_id is None else f"session {self.session_id!r}"
        return f"{who}: {self.reason}"
