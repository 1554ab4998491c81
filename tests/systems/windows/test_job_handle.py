"""Seam: the handle of a job object, of a Windows that answers what a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from proctree_kill._systems.contract import UnavailableError
from proctree_kill._systems.windows import job_handle, win32
from proctree_kill._systems.windows.job import TreeJob

HANDLE = 77


class Kernel:
    """What Windows answers.

    Args:
        meanwhile: called during each call that uses the handle.
        takes_limits: whether a job may have limits.
    """

    def __init__(self, meanwhile: Callable[[], object], *, takes_limits: bool = True) -> None:
        self.meanwhile = meanwhile
        self.takes_limits = takes_limits

    def CreateJobObjectW(self, *_: object) -> int:  # noqa: N802 - the name in Windows
        return HANDLE

    def SetInformationJobObject(self, *_: object) -> bool:  # noqa: N802 - as above
        return self.takes_limits

    def QueryInformationJobObject(self, handle: int, *_: object) -> bool:  # noqa: N802 - as above
        return self._use(handle)

    def TerminateJobObject(self, handle: int, *_: object) -> bool:  # noqa: N802 - as above
        return self._use(handle)

    def _use(self, handle: int) -> bool:
        assert handle == HANDLE
        self.meanwhile()
        return True


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the handles that are closed."""
    closed: list[int] = []
    monkeypatch.setattr(win32, "close", closed.append)
    monkeypatch.setattr(win32, "error", lambda: OSError("refused"))
    return closed


@pytest.mark.parametrize("use", [TreeJob.pids, TreeJob.kill])
def test_a_handle_that_a_call_uses_is_closed_after_it(
    closed: list[int], monkeypatch: pytest.MonkeyPatch, use: Callable[[TreeJob], Any]
) -> None:
    during: list[list[int]] = []

    def close_in_another_thread() -> None:
        thread = threading.Thread(target=made.abandon)
        thread.start()
        thread.join()
        during.append(closed[:])

    monkeypatch.setattr(job_handle, "kernel32", lambda: Kernel(close_in_another_thread))
    made = TreeJob.make(dies_with_owner=False)
    use(made)
    assert (during, closed) == ([[]], [HANDLE])
    assert (made.pids(), made.kill()) == ([], True)  # it is closed
    made.abandon()
    assert closed == [HANDLE]


def test_a_job_that_is_only_forgotten_keeps_its_processes(
    closed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_handle, "kernel32", lambda: Kernel(list))
    made = TreeJob.make(dies_with_owner=True)
    del made
    assert closed == []


def test_a_job_that_takes_no_limits_is_closed(
    closed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_handle, "kernel32", lambda: Kernel(list, takes_limits=False))
    with pytest.raises(UnavailableError, match="refused"):
        TreeJob.make(dies_with_owner=True)
    assert closed == [HANDLE]
