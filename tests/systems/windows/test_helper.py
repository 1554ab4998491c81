"""Real, where Windows has them: taskkill and tasklist, and tools that hang, fail or are missing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from proctree_kill._systems.windows import helper as windows_helper
from proctree_kill._systems.windows import taskkill
from proctree_kill._systems.windows.handles import WindowsHandles
from proctree_kill._systems.windows.helper import Helper
from proctree_kill._systems.windows.taskkill import Answer

pytestmark = pytest.mark.needs("job objects")

LONG = 1000.0  # seconds that never pass


@pytest.fixture
def handles() -> Iterator[WindowsHandles]:
    handles = WindowsHandles()
    yield handles
    handles.close()


def far() -> float:
    """Return a time that does not come."""
    return time.monotonic() + LONG


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Replace the tools by a few lines of Python."""
    monkeypatch.setattr(taskkill, "force", lambda *_: [sys.executable, "-I", "-S", "-c", code])
    monkeypatch.setattr(taskkill, "look_up", lambda *_: [sys.executable, "-I", "-S", "-c", code])


def test_tasklist_lists_the_living_processes(handles: WindowsHandles) -> None:
    helper = Helper(LONG, handles.wait_for)
    assert helper.lists(os.getpid(), far()) is True
    assert helper.lists(os.getpid() + 1, far()) is False


def test_taskkill_ends_the_given_processes(handles: WindowsHandles) -> None:
    with subprocess.Popen([sys.executable], creationflags=4) as child:
        assert Helper(LONG, handles.wait_for).force([child.pid], far()) is Answer.DONE
        assert child.wait() == 1
        gone = Helper(LONG, handles.wait_for).force([child.pid + 1], far())
    assert gone is Answer.NOT_FOUND


@pytest.mark.parametrize("code", [1, 128, 255])
def test_an_exit_code_is_an_answer(
    handles: WindowsHandles, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    stand_in(monkeypatch, f"raise SystemExit({code})")
    helper = Helper(LONG, handles.wait_for)
    assert helper.force([4], far()) is taskkill.answer(code)
    assert helper.lists(4, far()) is None


def test_a_tool_that_hangs_is_ended_after_its_time(
    handles: WindowsHandles, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "import threading; threading.Event().wait()")
    assert Helper(0.2, handles.wait_for).force([4], far()) is Answer.HUNG
    assert Helper(LONG, handles.wait_for).force([4], time.monotonic() + 0.2) is Answer.HUNG


def test_a_hurry_ends_a_tool_that_hangs(
    handles: WindowsHandles, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "import threading; threading.Event().wait()")
    handles.wake()
    assert Helper(LONG, handles.wait_for).force([4], far()) is Answer.HUNG


def test_nothing_is_started_when_the_time_is_over(
    handles: WindowsHandles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    assert Helper(LONG, handles.wait_for).force([4], time.monotonic()) is Answer.HUNG


def test_a_missing_tool_is_an_answer(
    handles: WindowsHandles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows_helper, "_path", lambda name: rf"C:\nowhere\{name}.exe")
    helper = Helper(LONG, handles.wait_for)
    assert helper.force([4], far()) is Answer.MISSING
    assert helper.ask_to_close([4], far()) is Answer.MISSING
    assert helper.lists(4, far()) is None
