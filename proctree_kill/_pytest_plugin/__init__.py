"""A plugin of pytest: ends what a test started, and names what it left behind.

It is loaded into every run of pytest beside which the library is installed,
so whatever costs time is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .starter import TreeStarter

MODES = ("off", "report", "error")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--orphans``, and what holds where it is not given."""
    told = "processes that outlive their test: 'report' names and ends them, 'error' fails, too"
    group = parser.getgroup("proctree_kill", "leftover processes")
    group.addoption("--orphans", dest="proctree_orphans", choices=MODES, help=told)
    parser.addini("proctree_orphans", f"{told} (default: off)", default="off")


def pytest_configure(config: pytest.Config) -> None:
    """Look for orphans, if that was asked for."""
    mode = config.getoption("proctree_orphans") or config.getini("proctree_orphans")
    if mode not in MODES:
        text = f"proctree_orphans is {mode!r}, expected one of {', '.join(MODES)}"
        raise pytest.UsageError(text)
    if mode != "off":
        from .orphans import Orphans  # noqa: PLC0415 - the engine, for those who ask

        config.pluginmanager.register(Orphans(strict=mode == "error"), "proctree_kill_orphans")


@pytest.fixture
def tree_popen() -> Iterator[TreeStarter]:
    """Start processes as ``subprocess.Popen`` does; their trees end with the test, by force.

    Give ``tree_popen.grace`` some seconds to have them asked first.
    """
    from .starter import TreeStarter  # noqa: PLC0415 - the engine, for those who ask

    starter = TreeStarter()
    yield starter
    starter.end()
