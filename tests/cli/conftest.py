"""Fixtures for the command line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.terminal import Terminal


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    fdpexpect = pytest.importorskip("pexpect.fdpexpect")
    terminal = Terminal(fdpexpect.fdspawn)
    yield terminal
    terminal.close()
