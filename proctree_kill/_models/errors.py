"""The exceptions. Each keeps its facts as attributes."""

from __future__ import annotations


class ProctreeKillError(Exception):
    """The base of all exceptions of this library."""

    __module__ = "proctree_kill.errors"  # the public path, for tracebacks and pickles

    def __init_subclass__(cls) -> None:
        """Give each subclass the same public path."""
        cls.__module__ = ProctreeKillError.__module__


class TargetRefusedError(ProctreeKillError, ValueError):
    """The target must not be ended. No process was touched.

    Attributes:
        pid: the pid of the target.
        reason: why it is refused, as the end of a sentence.
    """

    def __init__(self, pid: int, reason: str) -> None:
        """Pass all facts to the base, so that the exception pickles."""
        super().__init__(pid, reason)
        self.pid, self.reason = pid, reason

    def __str__(self) -> str:
        return f"process {self.pid} is refused: {self.reason}"


class PolicyError(ProctreeKillError, ValueError):
    """An option or a configuration is wrong.

    Attributes:
        problems: a sentence for each, with the name, the value and what was expected.
    """

    def __init__(self, *problems: str) -> None:
        """Pass all facts to the base, so that the exception pickles."""
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(self.problems)


class ContainmentError(ProctreeKillError, RuntimeError):
    """The requested containment is not available. No process was started.

    Attributes:
        requested: the containment that was requested.
        reason: why it is not available.
    """

    def __init__(self, requested: str, reason: str) -> None:
        """Pass all facts to the base, so that the exception pickles."""
        super().__init__(requested, reason)
        self.requested, self.reason = requested, reason

    def __str__(self) -> str:
        return f"containment {self.requested!r}: {self.reason}"


class RecordError(ProctreeKillError, RuntimeError):
    """A record cannot be written, or its folder cannot be read. No started process is left.

    Attributes:
        path: the file or the folder.
        reason: why, as the end of a sentence.
    """

    def __init__(self, path: str, reason: str) -> None:
        """Pass all facts to the base, so that the exception pickles."""
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class SessionError(ProctreeKillError, RuntimeError):
    """A session or its manager refuses a request. No process was touched.

    Attributes:
        session_id: the session; None if the manager refuses.
        reason: why, as the end of a sentence.
    """

    def __init__(self, session_id: str | None, reason: str) -> None:
        """Pass all facts to the base, so that the exception pickles."""
        super().__init__(session_id, reason)
        self.session_id, self.reason = session_id, reason

    def __str__(self) -> str:
        subject = "the manager" if self.session_id is None else f"session {self.session_id!r}"
        return f"{subject}: {self.reason}"


class FleetError(ProctreeKillError, RuntimeError):
    """A fleet refuses a request, or a part of it does not answer.

    Attributes:
        address: the worker process, the machine or the scheduler.
        reason: why, as the end of a sentence.
    """

    def __init__(self, address: str, reason: str) -> None:
        """Pass all facts to the base, so that the exception pickles."""
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return f"{self.address}: {self.reason}"


class UnreachableError(FleetError):
    """A machine of a fleet, or its scheduler, did not answer in time, or its connection broke."""
