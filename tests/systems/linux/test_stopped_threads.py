"""Seam: which states of its threads prove that a process is in no fork."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("fcntl", reason="what is for Linux needs POSIX to be imported")

from proctree_kill._systems.linux import procfs, stops
from proctree_kill._systems.member import Member

pytestmark = pytest.mark.needs("procfs")

LEADER, OTHER = os.getpid(), 5_000_001
VFORK = b"[<0>] kernel_clone+0x20a/0x3f0\n[<0>] __do_sys_vfork+0x3e/0x60\n"
FORK = b"[<0>] dup_mm+0x1c/0x5a0\n[<0>] kernel_clone+0x20a/0x3f0\n"


@pytest.mark.parametrize(
    ("leader", "other", "place", "may"),
    [
        (b"T", b"T", b"", False),
        (b"t", b"T", b"", False),
        (b"Z", b"T", b"", False),
        (b"T", b"R", b"", True),
        (b"Z", b"R", b"", True),
        (b"R", b"T", b"kernel_clone", True),
        (b"D", b"T", b"kernel_clone", False),
        (b"D", b"T", b"rwsem_down_write_slowpath", True),
        (b"D", b"T", b"0", True),
        (b"S", b"T", b"get_signal", False),
        (b"S", b"T", b"0", True),
    ],
)
def test_a_fork_is_ruled_out_once_every_thread_is_stopped(
    monkeypatch: pytest.MonkeyPatch, leader: bytes, other: bytes, place: bytes, *, may: bool
) -> None:
    found = procfs.stat(LEADER)
    assert found
    states = {LEADER: leader, OTHER: other}
    lines = {pid: found._replace(state=state, threads=2) for pid, state in states.items()}
    monkeypatch.setattr(procfs, "stat", lines.get)
    monkeypatch.setattr(procfs, "tasks", lambda _: [str(pid) for pid in lines])
    monkeypatch.setattr(procfs, "read", lambda _: place)
    assert stops.may_fork(member_of(found)) is may


@pytest.mark.parametrize(("stack", "may"), [(VFORK, False), (FORK, True), (b"", True)])
def test_the_stack_says_it_where_the_kernel_names_no_place(
    monkeypatch: pytest.MonkeyPatch, stack: bytes, *, may: bool
) -> None:
    found = procfs.stat(LEADER)
    assert found
    files = {f"/proc/{LEADER}/wchan": b"0", f"/proc/{LEADER}/stack": stack}
    monkeypatch.setattr(procfs, "stat", lambda _: found._replace(state=b"D", threads=1))
    monkeypatch.setattr(procfs, "read", files.get)
    assert stops.may_fork(member_of(found)) is may


def test_a_later_owner_of_the_number_is_not_waited_for() -> None:
    found = procfs.stat(LEADER)
    assert found
    assert not stops.may_fork(member_of(found._replace(start=found.start - 1)))


@pytest.mark.parametrize(
    ("line", "is_stopped"),
    [
        (b"5 (a) T 1 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0\n", True),
        (b"5 () Z (b) t 1 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0\n", True),
        (b"5 (a) Z 1 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0\n", True),
        (b"5 (a) T 1 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 2 0 7 0 0\n", False),
        (b"5 () T (b) D 1 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0\n", False),
        (b"", False),
    ],
    ids=["stopped", "traced", "dead", "another thread", "in a system call", "gone"],
)
def test_only_what_is_stopped_with_its_only_thread_needs_no_second_look(
    monkeypatch: pytest.MonkeyPatch, line: bytes, *, is_stopped: bool
) -> None:
    member = Member(5, threads=0)
    monkeypatch.setattr(procfs, "read", {"/proc/5/stat": line}.get)
    assert stops.not_stopped([member]) == ([] if is_stopped else [member])
    assert member.threads == is_stopped


def member_of(found: procfs.Stat) -> Member:
    """Make a member of this process, which started at another time."""
    return Member(LEADER, found.ppid, start=found.start, threads=found.threads)
