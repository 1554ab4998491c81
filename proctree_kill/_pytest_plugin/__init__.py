"""The pytest plugin: it ends the processes that a test started, and names those it left behind.

Each run of pytest loads it where the library is installed. So each function imports for itself
what takes time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .starter import TreeStarter

MODES = ("off", "report", "error")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option ``--orphans`` and the setting ``proctree_orphans``."""
    text = "processes that outlive their test: 'report' names and ends them, 'error' also fails"
    group = parser.getgroup("proctree_kill", "leftover processes")
    group.addoption("--orphans", dest="proctree_orphans", choices=MODES, help=text)
    parser.addini("proctree_orphans", f"{text} (default: off)", default="off")


def pytest_configure(config: pytest.Config) -> None:
    """Load the search for orphans, if it was asked for."""
    mode = config.getoption("proctree_orphans") or config.getini("proctree_orphans")
    if mode not in MODES:
        text = f"proctree_orphans is {mode!r}, expected one of {', '.join(MODES)}"
        raise pytest.UsageError(text)
    if mode != "off":
        from .orphans import OrphanPlugin  # noqa: PLC0415 - slow to import

        config.pluginmanager.register(OrphanPlugin(strict=mode == "error"), "proctree_kill_orphans")


@pytest.fixture
def tree_popen() -> Iterator[TreeStarter]:
    """Start processes as ``subprocess.Popen`` does. Their trees are killed after the test.

    Set ``tree_popen.grace`` (seconds, default 0) to have them asked first.
    """
    from .starter import TreeStarter  # noqa: PLC0415 - slow to import

    starter = TreeStarter()
    yield starter
    starter.end()
