"""Real and seam: a full descriptor table leaves nothing open and no false fact behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import identify
from proctree_kill._sessions.exits import ExitWatcher, Watch
from proctree_kill._systems import current, machine
from proctree_kill._systems.linux import pidfd, pidfd_handles, procfs
from proctree_kill._systems.linux import system as linux_system
from proctree_kill._systems.linux.pidfd_handles import PidfdHandles
from proctree_kill._systems.member import Member
from proctree_kill._systems.posix import system as posix_system
from support import kqueue
from support.callers import apart, limit_descriptors
from support.nodes import Node
from support.planter import Planter

pytestmark = pytest.mark.needs("procfs")


def full(*_: object, **__: object) -> Any:  # noqa: ANN401 - it never returns
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def fill(free: int) -> list[int]:
    """Open files until so many descriptors are free; return all but those."""
    limit_descriptors(64)
    fds = []
    try:
        while True:
            fds.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        for _ in range(free):
            os.close(fds.pop())
    return fds


@pytest.mark.needs("pidfd")
def test_an_inspection_that_fails_leaves_no_descriptor() -> None:
    """One is left: it goes to the pidfd, and none to what is read of the process."""

    def scene() -> tuple[int, int]:
        pid = os.getppid()
        with_wake = current()
        try:
            identify(pid)  # all is loaded, and was asked once
            filled = fill(free=1)
            failed = 0
            for _ in range(3):
                try:
                    with_wake.bind(pid)
                except OSError:
                    failed += 1
            left = 0
            try:
                while True:
                    filled.append(os.open(os.devnull, os.O_RDONLY))
                    left += 1
            except OSError:
                return failed, left
        finally:
            with_wake.close()

    assert apart(scene) == (3, 1)


@pytest.mark.needs("pidfd")
@pytest.mark.parametrize("inode", [None, 1], ids=["by start", "by inode"])
def test_a_reopening_that_fails_leaves_no_descriptor(
    monkeypatch: pytest.MonkeyPatch, plant: Planter, inode: int | None
) -> None:
    member = Member(plant(Node(name="root")).root.pid)
    member.inode = inode
    before = open_files()
    monkeypatch.setattr(procfs, "stat", full)
    monkeypatch.setattr(pidfd, "inode", full)
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        pidfd_handles._reopen(member)
    assert open_files() <= before


@pytest.mark.needs("pidfd")
def test_counting_descriptors_that_fails_leaves_none(
    monkeypatch: pytest.MonkeyPatch, plant: Planter
) -> None:
    pid = plant(Node(name="root")).root.pid
    before = open_files()
    handles = PidfdHandles()
    handles._budget = 0
    with monkeypatch.context() as patched:
        patched.setattr(os, "listdir", full)
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            handles.open(pid)
    handles.close()
    assert open_files() <= before


def test_a_failed_watch_holds_nothing_and_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watcher = ExitWatcher()
    monkeypatch.setattr("proctree_kill._sessions.exits.current", full)
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        watcher.watch(identify(os.getpid()), lambda: None)
    assert not watcher._new


def test_a_process_whose_identity_cannot_be_built_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system, watcher = linux_system.LinuxSystem(), ExitWatcher()
    before = open_files()
    monkeypatch.setattr("proctree_kill._sessions.exits.is_same", full)
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        watcher._bind(system, Watch(identify(os.getpid()), lambda: None, None))
    assert open_files() <= before
    system.close()


def test_a_queue_of_exits_that_fails_leaves_no_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix_system, "_select", kqueue)
    monkeypatch.setattr(kqueue.Queue, "control", full)
    before = open_files()
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        posix_system.ExitQueue()
    assert open_files() <= before


def test_the_machine_is_known_once_descriptors_are_there_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = machine.machine_id()
    machine.machine_id.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", full)
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            machine.machine_id()
    assert machine.machine_id() == known


def test_the_boot_is_asked_for_again_where_it_could_not_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = procfs.boot_id()
    monkeypatch.setattr(procfs, "_boot_id", None)
    with monkeypatch.context() as patched:
        patched.setattr(procfs, "read", lambda _: b"")
        assert procfs.boot_id() is None
    assert procfs.boot_id() == known
