"""Commands of the command line, run in this process, which takes a tenth of the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from proctree_kill._cli import main


class Invoked(NamedTuple):
    """The exit code and the output of a command, by the names of ``subprocess``."""

    returncode: int
    stdout: str
    stderr: str


Invoke = Callable[..., Invoked]


def invoker(capsys: pytest.CaptureFixture[str]) -> Invoke:
    """Return what runs a command with these arguments."""

    def call(*arguments: object) -> Invoked:
        code = main([str(argument) for argument in arguments])
        return Invoked(code, *capsys.readouterr())

    return call
