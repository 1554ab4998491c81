"""Processes that are no leftovers: servants of known libraries, and what the user names.

A library starts such a servant once for the whole program, uses it again in the next test, and
has it end with the program. It is recognised by its whole command line and by its parents.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase

from .._containment.guard import PROGRAM, PYTHON_OPTIONS
from .._engine.trackers import PYTHON, is_tracker
from .._models.tree import TreeMember
from .._systems import psutil_facts

LOKY = r"(?:joblib\.externals\.)?loky\.backend\."

WIN32_CALL = r"main\(pipe_handle=\d+, parent_pid=\d+\)"

SERVERS = (
    # ForkServer.ensure_running, in Lib/multiprocessing/forkserver.py
    rf"{PYTHON}\0-c\0from multiprocessing\.forkserver import main; main\(\d+, \d+, \[[^\0]*\)",
    # loky/backend/popen_loky_posix.py and popen_loky_win32.py: the workers of an executor
    rf"{PYTHON}\0-m\0{LOKY}popen_loky_posix\0--process-name\0[^\0]+\0--pipe\0\d+",
    rf"{PYTHON}\0-c\0from {LOKY}popen_loky_win32 import main; {WIN32_CALL}\0--multiprocessing-fork",
    # the guard of this library, which ends with the last tree that it watches
    r"[^\0]+\0" + re.escape("\0".join([*PYTHON_OPTIONS, "-c", PROGRAM])) + r"(?:\0[^\0]*){2,}",
)

_server = re.compile("|".join(SERVERS))


class Found:
    """The processes of one search, with their parents and command lines."""

    def __init__(self, members: Iterable[TreeMember], ignored: Collection[str]) -> None:
        """Begin with what a snapshot found. ``ignored`` are the patterns of the user."""
        self._members = {member.identity.pid: member for member in members}
        self._ignored = ignored
        self._arguments = functools.cache(_arguments)

    def __iter__(self) -> Iterator[TreeMember]:
        return iter(self._members.values())

    def line(self, member: TreeMember) -> list[TreeMember]:
        """Return a process and its ancestors, as far as they are below this process."""
        line = [member]
        # a parent that was replaced since may close a circle
        while (parent := self._members.get(line[-1].ppid or 0)) and parent not in line:
            line.append(parent)
        return line

    def is_left_alone(self, member: TreeMember) -> bool:
        """Whether it is a servant, or the user named it or one of its ancestors."""
        return self.is_servant(member) or any(map(self._is_named, self.line(member)))

    def is_servant(self, member: TreeMember) -> bool:
        """Whether it is a servant of this process, or of a servant; or a tracker without parent.

        A fork shows the command line of its parent: what a fork server starts is no servant.
        """
        line = self.line(member)
        if line[-1].ppid != os.getpid():
            return len(line) == 1 and is_tracker(self._arguments(member.identity.pid))
        return all(self._serves(ancestor) and not self._is_starting(ancestor) for ancestor in line)

    def is_unsettled(self, member: TreeMember) -> bool:
        """Whether it may yet become a servant, or end with the program that it served."""
        top = self.line(member)[-1]
        is_left = top.ppid != os.getpid() and self._serves(top)
        return is_left or self._is_starting(member)

    def _is_starting(self, member: TreeMember) -> bool:
        """Whether it may become another program yet: it is a fork, or shows no arguments."""
        arguments = self._arguments(member.identity.pid)
        # a launcher of Windows, where nothing forks, has the arguments of what it launches
        is_fork = hasattr(os, "fork") and arguments == self._arguments(member.ppid or 0)
        return is_fork or not arguments

    def _serves(self, member: TreeMember) -> bool:
        """Whether it has the arguments of a servant; a tracker ends after what it tracks."""
        arguments = self._arguments(member.identity.pid)
        return is_tracker(arguments) or _server.fullmatch("\0".join(arguments)) is not None

    def _is_named(self, member: TreeMember) -> bool:
        command = " ".join(self._arguments(member.identity.pid))
        return any(fnmatchcase(command, pattern) for pattern in self._ignored)


def _arguments(pid: int) -> tuple[str, ...]:
    process = psutil_facts.find(pid) if pid else None
    return () if process is None else tuple(psutil_facts.arguments(process))
