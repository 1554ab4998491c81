"""The console as the terminal of the command line, and how a command there keeps its keys."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from ..contract import Launch
from . import console

LEADER = Path(__file__).with_name("group_leader.py")
_os: Any = os  # inheritable handles exist on Windows only
# Without the redirector of a virtual environment, a process more.
PYTHON = getattr(sys, "_base_executable", sys.executable)


class ConsoleTerminal:
    """The console; see :class:`~..contract.Terminal`.

    It is true also where there is no console: then no key can come.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __bool__(self) -> bool:
        return True

    @contextlib.contextmanager
    def starting(self, command: Sequence[str]) -> Iterator[Launch]:
        """Start it in a group of its own, below a leader that switches Ctrl-C on.

        Where Ctrl-C is off for this process (``start /b``), it stays off for the command.
        """
        if not console.gets_ctrl_c():
            yield Launch(command, new_session=True)
            return
        reading, writing = os.pipe()
        with open(reading, "rb") as report:
            try:
                handle = importlib.import_module("msvcrt").get_osfhandle(writing)
                _os.set_handle_inheritable(handle, True)  # noqa: FBT003 - positional only
                leader = [PYTHON, "-I", "-S", str(LEADER), str(handle)]
                yield Launch([*leader, *command], new_session=True)
            finally:
                os.close(writing)
            if failure := report.read().decode():
                number, _, text = failure.partition(" ")
                raise OSError(0, text, None, int(number))

    @property
    def is_canonical(self) -> bool:
        """Whether ENABLE_LINE_INPUT is set."""
        return console.reads_lines()

    def reaches(self, _pid: int) -> bool:
        """Return True: Ctrl-C reaches every process on the console."""
        return True

    def reclaim(self, *, modes: bool) -> None:
        """Do nothing: a console has no foreground group, and programs restore its modes."""
