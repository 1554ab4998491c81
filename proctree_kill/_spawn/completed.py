"""What run returns."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, AnyStr

from .._models.exit_code import LOST, known
from .._models.result import KillResult, outcome_table, without_gone
from .._models.shown import Shown
from .._models.text import Table, printable
from .._models.usage import Usage, note, remarks

if TYPE_CHECKING:
    from .options import Command


class _UnknownCodeError(subprocess.CalledProcessError):
    """A command has ended, and it is unknown whether it succeeded."""

    def __str__(self) -> str:
        return f"Command {self.cmd!r} has ended, and its exit code is unknown: {LOST}"


class CompletedTree(Shown, subprocess.CompletedProcess[AnyStr]):
    """A ``subprocess.CompletedProcess`` that also says which processes were ended.

    Printed, it shows neither arguments nor output, which may hold secrets.

    Attributes:
        kill: the result for the processes that the command left behind and that were ended;
            None if there were none.
        usage: what the command and all that it started used.
    """

    kill: KillResult | None
    usage: Usage | None

    def __init__(
        self,
        args: Command,
        returncode: int,
        stdout: AnyStr | None = None,
        stderr: AnyStr | None = None,
        *,
        kill: KillResult | None = None,
        usage: Usage | None = None,
    ) -> None:
        """Take what is known at the end."""
        output: Any = (stdout, stderr)
        super().__init__(args, returncode, *output)
        self.kill = kill
        self.usage = usage

    @property
    def exit_code(self) -> int | None:
        """The exit code as ``returncode`` has it; None where it is unknown.

        ``returncode`` is 255 then.
        """
        return known(self.returncode)

    @property
    def ok(self) -> bool:
        """Whether the exit code is known to be 0 and no process survived."""
        return self.returncode == 0 and (self.kill is None or self.kill.ok)

    def check_returncode(self) -> None:
        """Raise ``subprocess.CalledProcessError`` if the exit code is not 0.

        It has ``kill`` and ``usage``.

        An unknown one raises too, and the text of the exception says that it is unknown.
        """
        try:
            if self.exit_code is None:
                raise _UnknownCodeError(self.returncode, self.args, self.stdout, self.stderr)
            super().check_returncode()
        except subprocess.CalledProcessError as error:
            error.kill = self.kill  # type: ignore[attr-defined] # ours
            error.usage = self.usage  # type: ignore[attr-defined] # ours
            raise

    def summary(self) -> str:
        """Return how the command ended, and what was done to what it left, in one line."""
        ended = f"{_program(self.args)} {_ended(self.exit_code)}"
        left = self.kill and without_gone(self.kill)
        if left and left.outcomes:
            return f"{ended}; it left processes: {left.summary()}"
        return "; ".join([ended, *remarks(self.usage)])

    def _closing(self) -> str:
        return "; ".join([self.summary(), *note(self.usage)])

    def _table(self) -> Table:
        return outcome_table(self.kill and without_gone(self.kill))


def _program(command: Command) -> str:
    """Return the name of a program without its arguments; a shell's text may begin with any."""
    if isinstance(command, Sequence) and not isinstance(command, str | bytes) and command:
        command = command[0]
    elif not isinstance(command, os.PathLike):
        return "the command"
    return printable(Path(os.fsdecode(command)).name)


def _ended(code: int | None) -> str:
    if code is None:
        return "ended, its exit code is unknown"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"was ended by signal {-code}"
