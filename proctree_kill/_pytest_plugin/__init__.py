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

MODE = "proctree_orphans"
IGNORED = "proctree_orphans_ignore"
MODES = ("off", "report", "error")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options ``--orphans`` and ``--orphans-ignore``, and their settings."""
    group = parser.getgroup("proctree_kill", "leftover processes")
    text = "processes that outlive their test: 'report' names them, 'error' fails and ends them"
    group.addoption("--orphans", dest=MODE, choices=MODES, help=text)
    parser.addini(MODE, f"{text} (default: off)", default="off")
    text = "shell pattern of the command line of a process that may outlive its test"
    group.addoption(
        "--orphans-ignore", dest=IGNORED, action="append", default=[], metavar="PATTERN", help=text
    )
    parser.addini(IGNORED, f"{text}; one for each line", type="linelist", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Load the search for orphans, if it was asked for."""
    mode = config.getoption(MODE) or config.getini(MODE)
    if mode not in MODES:
        text = f"{MODE} is {mode!r}, expected one of {', '.join(MODES)}"
        raise pytest.UsageError(text)
    if mode != "off":
        from .orphans import OrphanPlugin  # noqa: PLC0415 - slow to import

        ignored = [*config.getini(IGNORED), *config.getoption(IGNORED)]
        plugin = OrphanPlugin(strict=mode == "error", ignored=ignored)
        config.pluginmanager.register(plugin, "proctree_kill_orphans")


@pytest.fixture
def tree_popen() -> Iterator[TreeStarter]:
    """Start processes as ``subprocess.Popen`` does. Their trees are killed after the test.

    They end as well where the run itself ends without its fixtures, as by ``os._exit``.
    Set ``tree_popen.grace`` (seconds, default 0) to have them asked first.
    """
    from .starter import TreeStarter  # noqa: PLC0415 - slow to import

    starter = TreeStarter()
    yield starter
    starter.end()
