"""What every test uses: planters, and the proof that nothing was left behind.

Our own plugin finds the processes that a test leaves (``proctree_orphans``).
"""

from __future__ import annotations

import ctypes
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import Containment, SessionManager
from support.agents import PATIENT
from support.capabilities import has
from support.cgroups import is_empty, library_left, own_left
from support.commands import Invoke, invoker
from support.listener import Listener
from support.planter import Planter
from support.readiness import await_in_starts, has_exited, has_written
from support.socket_planter import SocketPlanter
from support.storms import SOURCE, build
from support.times import BOUND

pytest_plugins = ["pytester"]

DESCRIPTORS = (Path("/proc/self/fd"), Path("/dev/fd"))

LINUX = [
    "engine/test_evidence.py",
    "engine/test_full_tables.py",
    "engine/test_group_evidence.py",
    "engine/test_hidden_processes.py",
    "spawn/test_faults.py",
    "soak/test_faults.py",
    "engine/test_own_children.py",
]
# What cannot be imported everywhere: it replaces parts of the Linux system.
collect_ignore = [] if has("fork") else LINUX


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*capabilities): skip where this machine lacks one of them"
    )
    # A shell lets what it runs in the background ignore the first two, nohup(1) the third.
    # What a test starts inherits that, but no handler.
    ways: dict[str, Any] = {
        "SIGINT": signal.default_int_handler,
        "SIGQUIT": signal.SIG_DFL,
        "SIGHUP": lambda *_: None,  # this process itself still survives it
    }
    for name, way in ways.items():
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, way)


def pytest_sessionstart() -> None:
    """Forbid groups to write new files, as records demand; start the desktop before any test.

    Wine starts the desktop below the process that opens the first window. What PROCTREE_MUST_HAVE
    names must be there: no test of it may be skipped.
    """
    os.umask(0o022)
    wanted = os.environ.get("PROCTREE_MUST_HAVE", "")
    missing = [capability for capability in wanted.split(",") if wanted and not has(capability)]
    if missing:
        pytest.exit(f"this machine must have, and has no {', no '.join(missing)}", returncode=1)
    if has("windows"):
        windows: Any = ctypes  # WinDLL exists on Windows only
        windows.WinDLL("user32").GetDesktopWindow()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        missing = [capability for capability in marker.args if not has(capability)]
        if missing:
            pytest.skip(f"this machine has no {', no '.join(missing)}")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a dead child, a descriptor or a cgroup."""
    files, cells = _open_files(), library_left()
    yield
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline and (
        len(_open_files()) > len(files) or _unreaped() is not None
    ):
        time.sleep(0.01)  # a thread that is ending closes and reaps its own
    assert _unreaped() is None, "a test left a child that was not reaped"
    assert len(_open_files()) <= len(files), f"a test left open: {_open_files() - files}"
    assert own_left() == [], "a test left cgroups"
    assert _new_cells(cells) == set(), "a test left cgroups of the library"


@pytest.fixture
def listener() -> Listener:
    """Collect the events of a manager."""
    return Listener()


@pytest.fixture
def manager(tmp_path: Path, listener: Listener) -> Iterator[SessionManager]:
    """Manage sessions of agents that leave when they are asked, and stop them all at the end."""
    with SessionManager(tmp_path, policy=PATIENT, event_broadcaster=listener) as manager:
        yield manager


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str]) -> Invoke:
    """Run commands in this process."""
    return invoker(capsys)


@pytest.fixture
def plant() -> Iterator[Planter]:
    """Plant trees that end with the test."""
    if not has("fork"):
        pytest.skip("this machine has no fork")
    with Planter() as planter:
        yield planter


@pytest.fixture
def planter() -> Iterator[SocketPlanter]:
    """Plant trees that end with the test, on every system."""
    with SocketPlanter() as planter:
        yield planter


@pytest.fixture
def no_cgroup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library do without cgroups, as on a machine that has none."""
    if has("procfs"):
        from proctree_kill._systems.linux import cgroup, cgroupfs  # noqa: PLC0415 - not on every system

        monkeypatch.setattr(cgroupfs, "CGROUPS", False)
        monkeypatch.setattr(cgroup, "_parents", {})  # as before the first question


@pytest.fixture
def no_controllers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let cgroups of version 2 have no controllers, as where those are on version 1."""
    if has("procfs"):
        from proctree_kill._systems.linux import controllers  # noqa: PLC0415 - not on every system

        monkeypatch.setattr(controllers, "_enabled", lambda _: [])
        monkeypatch.setattr(controllers, "_offers", lambda *_: False)


@pytest.fixture
def speaks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no start return before the command has written something."""
    await_in_starts(monkeypatch, has_written)


@pytest.fixture
def ends_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no start return before the root has ended."""
    await_in_starts(monkeypatch, has_exited)


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
    return build(SOURCE, open_folder)


def _new_cells(before: list[Path]) -> set[Path]:
    """Return the new cgroups of the library.

    The next containment removes those of the dying, a thread that is ending those of its own.
    """
    deadline = time.monotonic() + BOUND
    while (new := {*library_left()} - {*before}) and time.monotonic() < deadline:
        for cgroup in new:
            with suppress(FileNotFoundError):  # it has gone meanwhile
                is_empty(cgroup, BOUND)
        Containment.prepare().release()
    return new


def _unreaped() -> int | None:
    """Return the pid of a dead child of this process that was not reaped."""
    if not has("waitid"):
        return None
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found.si_pid if found else None


def _open_files() -> set[tuple[str, str]]:
    """Return our open descriptors and their targets, where the system lists them."""
    folders = DESCRIPTORS if has("fork") else ()  # of a Windows Python under Wine they are Wine's
    folder = next((folder for folder in folders if folder.is_dir()), None)
    return {(path.name, _target(path)) for path in folder.iterdir()} if folder else set()


def _target(descriptor: Path) -> str:
    """Return the target of a descriptor; nothing for that of the listing itself."""
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""
