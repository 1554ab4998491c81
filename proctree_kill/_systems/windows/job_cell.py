"""A job object around one tree, which nobody in it can leave."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Literal, Self

from ..contract import UnavailableError
from .handles import FORCE_CODE
from .job import CREATE_SUSPENDED, Job, resume

_abandoned: set[JobCell] = set()
"""Those of objects that are gone, which would end their trees if they were closed."""


class JobCell:
    """The job object of one tree.

    Its root is born suspended and runs once it is in here, so no descendant is born outside.

    Attributes:
        kind: which evidence its members are of.
        name: what tools that list objects call it; nobody finds it any more once we have ended.
        dies_with_owner: whether its members die with this process.
        creation_flags: what the root must be started with.
    """

    kind: Literal["cgroup", "job"] = "job"
    creation_flags = CREATE_SUSPENDED

    def __init__(self, job: Job, name: str, *, dies_with_owner: bool) -> None:
        """Stand for one that exists; :meth:`make` is the way to it."""
        self.name = name
        self.dies_with_owner = dies_with_owner
        self._job = job

    @classmethod
    def make(cls, *, dies_with_owner: bool) -> Self:
        """Make one for a tree of this process.

        Raises:
            UnavailableError: the system gives none.
        """
        for one in [*_abandoned]:
            if one.remove():
                _abandoned.discard(one)
        name = f"proctree_kill-{secrets.token_hex(8)}"
        try:
            job = Job(name, kill_on_close=dies_with_owner)
        except OSError as error:
            text = f"no job object is to be had: {error}"
            raise UnavailableError(text) from error
        return cls(job, name, dies_with_owner=dies_with_owner)

    @contextlib.contextmanager
    def spawning(self, _do: object) -> Iterator[None]:
        """Do nothing: the flags have the root wait until it is in here."""
        yield

    def start(self, pid: int) -> None:
        """Let the root run.

        Raises:
            OSError: it is gone, or the system refuses.
        """
        resume(pid)

    def adopt(self, pid: int) -> None:
        """Take in a process that was born outside; its children stay where they are.

        Raises:
            OSError: it is gone, or the system refuses.
        """
        self._job.adopt(pid)

    def expel(self, pid: int) -> None:
        """Do nothing: a process that is held keeps its number."""

    def pids(self) -> list[int]:
        """List who lives in here, in jobs inside of it included."""
        return self._job.pids()

    def kill(self) -> bool:
        """End everybody in here at once; tell whether the system took the order."""
        try:
            self._job.terminate(FORCE_CODE)
        except OSError:
            return False
        return True

    def remove(self) -> bool:
        """Close it, if nobody lives in it; tell whether it is closed."""
        if self._job.pids():
            return False
        self._job.close()
        return True

    def abandon(self) -> None:
        """Close it, at once unless that would end somebody."""
        if self.dies_with_owner and not self.remove():
            _abandoned.add(self)
        else:
            self._job.close()
