"""What every test stands on: a planter, and the proof that nothing was left behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.capabilities import has
from support.leaf import leaves
from support.planter import Planter
from support.storms import build_storm

DESCRIPTORS = (Path("/proc/self/fd"), Path("/dev/fd"))

collect_ignore = [] if has("fork") else ["test_evidence.py"]
"""What cannot be imported everywhere: it replaces parts of the Linux system."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*capabilities): skip where this machine lacks one of them"
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        missing = [one for one in marker.args if not has(one)]
        if missing:
            pytest.skip(f"this machine has no {', no '.join(missing)}")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a child, a descriptor or a cgroup."""
    children, files = _children(), _open_files()
    yield
    assert _children() - children == set(), "a test left child processes"
    assert len(_open_files()) <= len(files), f"a test left open: {_open_files() - files}"
    assert leaves() == [], "a test left cgroups"


@pytest.fixture
def plant() -> Iterator[Planter]:
    """Plant trees that end with the test."""
    if not has("fork"):
        pytest.skip("this machine has no fork")
    with Planter() as planter:
        yield planter


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """Make a folder that every user may look into."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="session")
def storm(open_folder: Path) -> Path:
    """Compile the program that forks."""
    return build_storm(open_folder)


def _children() -> set[int]:
    """Return the children of this process, zombies too."""
    if has("children file"):
        tasks = Path("/proc/self/task").glob("*/children")
        return {int(pid) for one in tasks for pid in _read(one).split()}
    return {one.pid for one in psutil.Process().children()}


def _read(children: Path) -> str:
    """Read the children of a thread, none where the thread has just ended."""
    try:
        return children.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _open_files() -> set[tuple[str, str]]:
    """Return the open descriptors of this process and what they lead to, where that is told."""
    folders = DESCRIPTORS if has("fork") else ()  # of a Windows Python under Wine they are Wine's
    folder = next((one for one in folders if one.is_dir()), None)
    return {(one.name, _target(one)) for one in folder.iterdir()} if folder else set()


def _target(descriptor: Path) -> str:
    """Return what a descriptor leads to; nothing for that of the listing itself."""
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""
