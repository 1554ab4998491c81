"""Real: the promised numbers of logs that are complete, and of states that are saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import TreePopen, run
from proctree_kill._cli import main
from support.counts import SOAK_LOGS
from support.logs import zip_log

pytestmark = [pytest.mark.soak, pytest.mark.needs("bash")]


def block(command: list[str], **options: Any) -> None:
    """Run a command as a block."""
    with TreePopen(command, **options):
        pass


@pytest.mark.parametrize("call", [run, block])
def test_the_log_of_what_was_left_is_complete(call: Callable[..., object], tmp_path: Path) -> None:
    for number in range(SOAK_LOGS):
        zip_log(tmp_path / str(number), call)


def test_so_it_is_with_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(command: list[str], cwd: Path) -> None:
        monkeypatch.chdir(cwd)
        assert main(["run", "--", *command]) == 0

    for number in range(SOAK_LOGS):
        zip_log(tmp_path / str(number), call)
