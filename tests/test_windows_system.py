"""Seam: what psutil says on Windows, said here; real where the machine has TerminateProcess."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from proctree_kill._member import GONE, Member
from proctree_kill._platform import _psutil_facts, _windows
from proctree_kill._platform._system import Reply
from proctree_kill._platform._windows import WindowsSystem
from support.garden import Garden, row

REAL = hasattr(signal, "CTRL_BREAK_EVENT")
needs_windows = pytest.mark.skipif(not REAL, reason="this machine has no TerminateProcess")

PATIENCE = 20.0
"""Seconds within which something that happens at once has happened."""


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[WindowsSystem]:
    if not REAL:
        monkeypatch.setattr(_windows, "PID_STEP", 1)  # other systems give every number
    system = WindowsSystem()
    yield system
    system.close()


@pytest.fixture
def garden() -> Iterator[Garden]:
    with Garden() as garden:
        yield garden


def bound(system: WindowsSystem, pid: int) -> Member:
    found = system.bind(pid)
    assert found
    return found


def test_idle_and_system_are_refused(system: WindowsSystem) -> None:
    assert "Idle" in (system.refusal(0, None) or "")
    assert "System process" in (system.refusal(4, None) or "")
    assert system.refusal(os.getpid(), bound(system, os.getpid())) is None


def test_a_number_that_only_looks_like_a_process_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    # OpenProcess finds the process of 1000 by 1001, 1002 and 1003 as well.
    monkeypatch.setattr(_psutil_facts, "find", lambda _: psutil.Process())
    monkeypatch.setattr(psutil, "pid_exists", lambda _: True)
    system = WindowsSystem()
    assert [pid for pid in range(1000, 1005) if system.bind(pid)] == [1000, 1004]


@needs_windows
def test_a_neighbour_of_a_real_number_is_nobody(system: WindowsSystem) -> None:
    assert bound(system, os.getpid()).pid == os.getpid()
    assert [system.bind(os.getpid() + more) for more in (1, 2, 3)] == [None, None, None]


def test_nothing_polite_is_sent(system: WindowsSystem, garden: Garden) -> None:
    root = bound(system, garden.grow(row("root")).pid)
    assert not system.polite
    assert system.ask([root]) == Reply([], [])
    assert root.signals == []
    assert system.owns_number(root)


def test_what_was_done_is_recorded_by_the_names_of_windows(
    system: WindowsSystem, garden: Garden
) -> None:
    root = bound(system, garden.grow(row("root")).pid)
    assert system.freeze([root], []) == Reply([], [])
    system.release([root])
    assert system.kill([root], []) == Reply([], [])
    assert root.signals == ["NtSuspendProcess", "NtResumeProcess", "TerminateProcess"]
    assert garden.all_dead()


@needs_windows
def test_a_suspended_process_is_ended_and_its_end_is_seen(
    system: WindowsSystem, garden: Garden
) -> None:
    process = garden.grow(row("root", "child"))
    root = bound(system, process.pid)
    [(_, child)] = system.children([root], {root.pid: root})
    members = [child, root]
    assert system.freeze(members, []) == Reply([], [])
    assert system.wait(members, system.now()) == []
    assert system.kill(members, []) == Reply([], [])
    assert garden.all_dead()
    assert system.wait(members, system.now() + PATIENCE) == members
    assert {one.state for one in members} == {GONE}
    assert system.kill(members, []) == Reply(members, [])
    assert process.poll() == signal.SIGTERM  # what psutil passes to TerminateProcess


def test_nobody_is_resumed_who_was_suspended_by_others(
    system: WindowsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil.Process, "status", lambda _: psutil.STATUS_STOPPED)
    assert not system.stopped(os.getpid())
    assert not bound(system, os.getpid()).stopped


def test_children_are_found_under_their_parent(system: WindowsSystem, garden: Garden) -> None:
    root = bound(system, garden.grow(row("root", "child", "grandchild")).pid)
    [(parent, child)] = system.children([root], {root.pid: root})
    assert (parent, child.pid, child.ppid) == (root, garden.pids["child"], root.pid)
    [(_, grandchild)] = system.children([child], {})
    assert grandchild.pid == garden.pids["grandchild"]
    assert system.children([root], {child.pid: child}) == []


def test_who_is_older_than_the_parent_was_somebody_elses_child(
    system: WindowsSystem, garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = garden.grow(row("root", "child"))
    real = psutil.Process.create_time

    def older(process: psutil.Process) -> float:
        return real(process) - (60 if process.pid == garden.pids["child"] else 0)

    monkeypatch.setattr(psutil.Process, "create_time", older)
    root = bound(system, process.pid)
    assert system.children([root], {}) == []


def test_a_parent_whose_number_is_used_again_has_no_children(
    system: WindowsSystem, garden: Garden
) -> None:
    root = bound(system, garden.grow(row("root", "child")).pid)
    assert root.create_time
    root.create_time -= 60
    assert system.children([root], {}) == []


def test_creation_times_are_compared_exactly(system: WindowsSystem, garden: Garden) -> None:
    root = bound(system, garden.grow(row("root")).pid)
    assert system.owns_number(root)
    assert root.create_time
    root.create_time -= 1e-6
    assert not system.owns_number(root)
    assert system.kill([root], []) == Reply([root], [])
    assert not root.signals


def test_an_unknown_creation_time_never_matches(
    system: WindowsSystem, garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: psutil.Process) -> float:
        raise psutil.AccessDenied(process.pid)

    root = bound(system, garden.grow(row("root")).pid)
    monkeypatch.setattr(psutil.Process, "create_time", refuse)
    assert not system.owns_number(root)
    root.create_time = None
    assert not system.owns_number(root)


def test_the_name_of_a_marker_has_no_case_and_its_value_has(
    system: WindowsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil.Process, "environ", lambda _: {"PLANTED": "a=B"})
    assert system.carries(os.getpid(), [b"Planted=a=B"])
    assert not system.carries(os.getpid(), [b"Planted=a=b"])
    assert not system.carries(os.getpid(), [b"Plant=a=B"])


def test_a_marker_of_a_real_process_is_found(system: WindowsSystem, garden: Garden) -> None:
    process = garden.grow(row("root"), env={**os.environ, "PLANTED": "1"})
    assert system.carries(process.pid, [b"PLANTED=1"])
    assert not system.carries(os.getpid(), [b"PLANTED=1"])


def test_there_are_no_sessions(system: WindowsSystem) -> None:
    assert system.session(os.getpid()) is None


def test_the_caller_is_found_among_the_ancestors(system: WindowsSystem, garden: Garden) -> None:
    garden.grow(row("root", "child"))
    found = system.ancestors(garden.pids["child"])
    assert found[:2] == [garden.pids["root"], os.getpid()]
