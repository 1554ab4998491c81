"""What is refused, and why: each error knows its facts."""

from __future__ import annotations


class ProctreeKillError(Exception):
    """The base of every exception that this library raises on its own account."""

    __module__ = "proctree_kill.errors"  # the public path, for tracebacks and pickles

    def __init_subclass__(cls) -> None:
        """Give each error the public path as well."""
        cls.__module__ = ProctreeKillError.__module__


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
