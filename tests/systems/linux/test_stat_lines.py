"""Seam: what a member has from its line in ``stat``, and what is hidden where there is none."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("fcntl", reason="what is for Linux needs POSIX to be imported")

from proctree_kill._systems.linux import procfs
from proctree_kill._systems.linux.system import LinuxSystem
from proctree_kill._systems.member import GROUP, MARKER, SESSION

pytestmark = pytest.mark.needs("procfs")

LINE = (  # each field has a value of its own: proc_pid_stat(5)
    "5 ({name}) {state} 104 105 106 107 108 {flags} 110 111 112 113 114 115 116 117 "
    "118 119 120 121 122 123 124 125\n"
)


@pytest.mark.parametrize("name", ["sleep", "a) R (b", ""])
@pytest.mark.parametrize(("state", "stopped"), [("T", True), ("S", False), ("t", False)])
@pytest.mark.parametrize(("flags", "kernel"), [(procfs.PF_KTHREAD | 64, True), (64, False)])
def test_each_fact_is_of_its_field(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    state: str,
    flags: int,
    *,
    stopped: bool,
    kernel: bool,
) -> None:
    line = LINE.format(name=name, state=state, flags=flags).encode()
    assert procfs.usable()
    monkeypatch.setattr(procfs, "read", {"/proc/5/stat": line}.get)
    member, found = procfs.member(5), procfs.stat(5)
    assert member
    assert found
    facts = (member.name, member.ppid, member.pgid, member.sid, member.threads, member.start)
    assert facts == (name, 104, 105, 106, 120, 122)
    assert facts == (found.name, found.ppid, found.pgid, found.sid, found.threads, found.start)
    assert (member.stopped, member.kernel) == (stopped, kernel)
    assert member.used == (b"114", b"115", b"116", b"117", b"124")


def test_of_a_process_without_a_line_there_is_no_member(monkeypatch: pytest.MonkeyPatch) -> None:
    assert procfs.usable()
    monkeypatch.setattr(procfs, "read", lambda _: b"")
    assert procfs.member(os.getpid()) is None


def test_where_an_ancestor_is_hidden_orphans_are_sought_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parent = procfs.parent
    monkeypatch.setattr(procfs, "parent", lambda pid: None if pid == 1 else parent(pid))
    with LinuxSystem() as system:
        root = system.bind(os.getpid())
        assert root
        found = [*system.candidates([root], ours=True, children=False, everywhere=False)]
        assert 1 in found  # no child of any process
        assert system.unseen == SESSION | GROUP | MARKER
