"""Real: every way to walk a tree on Linux names the members that psutil names."""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("fcntl", reason="what is for Linux needs POSIX to be imported")

from proctree_kill import kill_tree, snapshot_tree
from proctree_kill._systems.linux import procfs
from proctree_kill._systems.linux import system as linux_system
from proctree_kill._systems.linux.system import LinuxSystem
from proctree_kill._systems.member import Member
from support.nodes import Node
from support.planter import Planter
from support.times import BOUND

pytestmark = pytest.mark.needs("procfs")

WAYS = ["lists", "table", "no lists"]


@contextmanager
def walking(way: str) -> Iterator[None]:
    """Have the children looked for in this way, however many parents there are."""
    with pytest.MonkeyPatch.context() as patch:
        if way == "table":
            patch.setattr(linux_system, "FEW", 0)
            patch.setattr(procfs, "count", lambda: 0)
        if way == "no lists":
            patch.setattr(linux_system, "CHILDREN_FILE", False)
        yield


@st.composite
def trees(draw: st.DrawFn) -> Node:
    """Return a tree of at most 12 processes; each but the root has an earlier one as its parent."""
    parents = [
        draw(st.integers(0, index), label="parent") for index in range(draw(st.integers(0, 11)))
    ]

    def node(index: int) -> Node:
        below = [child for child, parent in enumerate(parents, 1) if parent == index]
        return Node(name=str(index), children=tuple(map(node, below)))

    return node(0)


@pytest.mark.parametrize("way", WAYS)
@settings(deadline=None, max_examples=10)
@given(shape=trees())
def test_a_snapshot_names_what_psutil_names(way: str, shape: Node) -> None:
    with Planter() as plant:
        tree = plant(shape)
        below = psutil.Process(tree.root.pid).children(recursive=True)
        with walking(way):
            snapshot = snapshot_tree(tree.root.pid)
        depths = {member.identity.pid: member.depth for member in snapshot.members}
        assert depths.keys() == {tree.root.pid, *(process.pid for process in below)}
        for member in snapshot.members:
            assert member.depth == (depths[member.ppid or 0] + 1 if member.depth else 0)
        with walking(way):
            assert kill_tree(tree.root, grace=0).ok
        assert tree.all_dead()


def test_a_tree_is_ended_where_the_youngest_number_is_refused(
    monkeypatch: pytest.MonkeyPatch, plant: Planter
) -> None:
    real = os.open

    def refused(path: str, *args: Any, **options: Any) -> int:
        if path == "/proc/loadavg":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        return real(path, *args, **options)

    tree = plant(Node(name="root", children=(Node(name="a"), Node(name="b"))))
    monkeypatch.setattr(os, "open", refused)
    result = kill_tree(tree.root, grace=0)
    assert result.ok
    assert len(result.outcomes) == 3
    assert tree.all_dead()


def test_a_process_whose_parent_ends_while_the_table_is_read_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parents: dict[int, list[int | None]] = {10: [1], 11: [None], 12: [11, 10]}
    monkeypatch.setattr(procfs, "parent", lambda pid: parents[pid].pop(0))
    monkeypatch.setattr(procfs, "is_taken", lambda _: False)
    monkeypatch.setattr(procfs, "pids", lambda: [1, 10, 12])
    table = procfs.table([1, 10, 11, 12], {1})
    assert table == procfs.Table({1: [10], 10: [12]}, {0, 1, 10, 12}, is_complete=True)


LEAVER = """
import ctypes, os, signal, sys
assert ctypes.CDLL(None).prctl(36, 1) == 0  # PR_SET_CHILD_SUBREAPER
if sys.argv[1] == "reaped":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    os.read(0, 1)
    if os.fork():
        os._exit(0)
    while os.getppid() != int(sys.argv[2]):
        pass
    print(os.getpid(), flush=True)
else:
    print(os.getpid(), flush=True)
signal.pause()
"""


@pytest.mark.parametrize("fate", ["zombie", "reaped"])
@pytest.mark.parametrize("way", WAYS)
def test_a_child_of_a_process_that_ends_during_the_walk_is_found(way: str, fate: str) -> None:
    argv = ["sh", "-c", 'exec "$0" -I -S -c "$1" "$2" $$', sys.executable, LEAVER, fate]
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, **options) as root, pytest.MonkeyPatch.context() as patch:
        assert root.stdin is not None
        assert root.stdout is not None
        assert int(root.stdout.readline()) == root.pid
        (leaver,) = procfs.children(root.pid, alone=True)
        exit_of_leaver = os.pidfd_open(leaver)
        newborn: list[int] = []

        def leave() -> None:
            if not newborn and root.stdin and root.stdout:
                root.stdin.write(b"x")
                root.stdin.flush()
                newborn.append(int(root.stdout.readline()))
                assert select.select([exit_of_leaver], [], [], BOUND)[0]
                while fate == "reaped" and procfs.stat(leaver):  # the exit goes on by itself
                    pass

        name = "children" if way == "lists" else "pids"
        read = getattr(procfs, name)

        def read_then_leave(*arguments: Any, **options: Any) -> list[int]:
            found: list[int] = read(*arguments, **options)
            if leaver in found:
                leave()
            return found

        patch.setattr(procfs, name, read_then_leave)
        with walking(way):
            members = snapshot_tree(root.pid).members
        os.close(exit_of_leaver)
        kill_tree(root, grace=0)
        assert {member.identity.pid for member in members} == {root.pid, *newborn}


def test_a_table_without_a_hidden_process_is_not_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "parent", {10: 1, 11: None}.get)
    monkeypatch.setattr(procfs, "is_taken", lambda _: True)
    assert not procfs.table([1, 10, 11], {1}).is_complete


def test_a_table_whose_parents_keep_ending_is_not_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "parent", {10: 9}.get)
    assert not procfs.table([1, 10], {1}).is_complete


@pytest.mark.parametrize(
    ("options", "hides"),
    [
        ("rw", False),
        ("rw,hidepid=off", False),
        ("rw,hidepid=invisible", True),
        ("rw,hidepid=2", True),
        ("rw,gid=4,hidepid=ptraceable", True),
    ],
)
def test_a_mount_that_hides_processes_is_known(
    monkeypatch: pytest.MonkeyPatch, options: str, *, hides: bool
) -> None:
    lines = (
        f"22 27 0:21 / /proc rw,relatime - proc proc {options}\n23 27 0:22 / /sys rw - sysfs s rw"
    )
    monkeypatch.setattr(procfs, "usable", lambda: True)
    monkeypatch.setattr(procfs, "read", lambda _: lines.encode())
    assert procfs.hides_processes() is hides


def test_no_table_is_read_where_processes_are_hidden(
    monkeypatch: pytest.MonkeyPatch, plant: Planter
) -> None:
    tree = plant(Node(name="root", children=(Node(name="child"),)))
    read: list[object] = []
    monkeypatch.setattr(procfs, "table", lambda *_: read.append(_))
    monkeypatch.setattr(procfs, "hides_processes", lambda: True)
    with walking("table"):
        assert len(snapshot_tree(tree.root.pid).members) == len(tree.pids)
    assert read == []


def test_a_process_that_a_table_gives_to_another_parent_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, plant: Planter
) -> None:
    stranger = plant(Node(name="root")).root.pid
    tree = plant(Node(name="root"))
    table = procfs.Table({tree.root.pid: [stranger]}, {tree.root.pid}, is_complete=True)
    monkeypatch.setattr(procfs, "table", lambda *_: table)
    with walking("table"), LinuxSystem() as system:
        root = system.bind(tree.root.pid)
        assert root
        assert system.children([root], {root.pid: root}) == []
        assert system.disturbed


def test_a_child_with_the_number_of_a_member_that_has_gone_is_found(plant: Planter) -> None:
    tree = plant(Node(name="root", children=(Node(name="child"),)))
    with LinuxSystem() as system:
        root = system.bind(tree.root.pid)
        assert root
        gone = Member(tree.pids["child"], root.pid)
        gone.start = gone.inode = 1
        found = system.children([root], {root.pid: root, gone.pid: gone})
        assert [child.pid for _, child in found] == [gone.pid]
