"""Seam: how limits are written to the files of cgroups, and what the kernel may answer."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fcntl", reason="what is for Linux needs POSIX to be imported")

from proctree_kill import Limits
from proctree_kill._systems.contract import UnavailableError
from proctree_kill._systems.linux import cgroupfs
from proctree_kill._systems.linux.cgroup import TreeCgroup
from proctree_kill._systems.linux.controllers import limit, why_busy, why_missing

pytestmark = pytest.mark.needs("procfs")

LEAF_FILES = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max")


class Cgroups:
    """Plain folders in place of a parent cgroup and a tree's; what is written can be refused."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parent, self.leaf = folder / "parent", folder / "parent" / "leaf"
        self.leaf.mkdir(parents=True)
        for name in LEAF_FILES:
            (self.leaf / name).write_text("before")
        for name in ("cgroup.procs", "cgroup.subtree_control"):
            (self.parent / name).touch()
        (self.leaf / "cgroup.controllers").write_text("memory pids cpu\n")
        (self.parent / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
        self.written: list[tuple[str, str]] = []
        self.refusals: dict[str, int] = {}
        monkeypatch.setattr(cgroupfs, "write", self._write)
        monkeypatch.setattr(cgroupfs, "folder_of", self._on_version_1)
        self.version_1: dict[str, str] = {}

    def limit(self, **limits: float | None) -> list[tuple[str, str]]:
        """Write limits, and return what was written."""
        limit(str(self.leaf), limits)
        return self.written

    def refused(self, **limits: float | None) -> str:
        """Return why the limits cannot be had."""
        with pytest.raises(UnavailableError) as caught:
            limit(str(self.leaf), limits)
        return str(caught.value)

    def tree(self) -> TreeCgroup:
        """Return the tree's cgroup, which has no entry."""
        kind: type[Any] = TreeCgroup  # a type checker takes what it inherits for abstract
        made: TreeCgroup = kind(str(self.leaf), str(self.parent), [])
        return made

    def refuse(self, name: str, number: int) -> None:
        """Have the kernel answer so when this file is written."""
        self.refusals[name] = number

    def _write(self, path: str, text: bytes) -> None:
        name = Path(path).name
        if name in self.refusals:
            number = self.refusals[name]
            raise OSError(number, os.strerror(number))
        if not Path(path).exists():
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        Path(path).write_bytes(text)
        self.written.append((name, text.decode()))

    def _on_version_1(self, pid: str, controller: str) -> str:
        assert pid == "self"
        if controller not in self.version_1:
            raise UnavailableError
        return self.version_1[controller]


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cgroups:
    return Cgroups(tmp_path, monkeypatch)


def test_only_what_is_asked_is_enabled_and_in_one_request(cgroups: Cgroups) -> None:
    assert cgroups.limit(processes=20, cpu=1.5) == [
        ("cgroup.subtree_control", "+pids +cpu"),
        ("pids.max", "20"),
        ("cpu.max", "150000 100000"),
    ]


def test_memory_has_no_swap_beside_it_and_its_end_is_that_of_the_tree(cgroups: Cgroups) -> None:
    assert cgroups.limit(memory=2**40) == [
        ("cgroup.subtree_control", "+memory"),
        ("memory.oom.group", "1"),
        ("memory.swap.max", "0"),
        ("memory.max", "1099511627776"),
    ]


def test_what_is_enabled_is_not_enabled_again(cgroups: Cgroups) -> None:
    (cgroups.parent / "cgroup.subtree_control").write_text("memory pids\n")
    assert cgroups.limit(processes=1) == [("pids.max", "1")]


def test_a_kernel_that_counts_no_swap_needs_no_limit_of_it(cgroups: Cgroups) -> None:
    (cgroups.leaf / "memory.swap.max").unlink()
    assert cgroups.limit(memory=4096)[1:] == [("memory.oom.group", "1"), ("memory.max", "4096")]


def test_a_lifted_limit_enables_nothing(cgroups: Cgroups) -> None:
    assert cgroups.limit(memory=None, processes=None, cpu=None) == [
        ("memory.oom.group", "0"),
        ("memory.swap.max", "max"),
        ("memory.max", "max"),
        ("pids.max", "max"),
        ("cpu.max", "max 100000"),
    ]


@pytest.mark.parametrize("cpu", [0.01, 0.015, 1 / 3, 1_000_000])
def test_the_kernel_gets_whole_microseconds(cgroups: Cgroups, cpu: float) -> None:
    _, (_, text) = cgroups.limit(cpu=cpu)
    assert text == f"{round(cpu * 100_000)} 100000"


def test_a_refused_file_changes_none(cgroups: Cgroups) -> None:
    cgroups.refuse("cpu.max", errno.EINVAL)
    reason = cgroups.refused(memory=4096, processes=2, cpu=1)
    assert reason == (
        f"cpu cannot be limited: {cgroups.leaf}/cpu.max does not take '100000 100000': "
        "Invalid argument"
    )
    assert {(cgroups.leaf / name).read_text() for name in LEAF_FILES} == {"before"}


def test_a_kernel_without_a_file_is_told(cgroups: Cgroups) -> None:
    (cgroups.leaf / "cpu.max").unlink()  # CONFIG_CFS_BANDWIDTH
    assert cgroups.refused(cpu=1) == "cpu cannot be limited: this kernel has no cpu.max"


@pytest.mark.parametrize("value", [2, None])
def test_a_controller_that_was_disabled_later_is_told(
    cgroups: Cgroups, value: float | None
) -> None:
    (cgroups.leaf / "pids.max").unlink()
    (cgroups.leaf / "cgroup.controllers").write_text("memory cpu\n")
    assert cgroups.refused(processes=value) == (
        f"processes cannot be limited: {cgroups.parent}/cgroup.subtree_control "
        "does not pass on the controller 'pids'"
    )


def test_a_tree_that_has_ended_is_told(cgroups: Cgroups) -> None:
    for name in (*LEAF_FILES, "cgroup.controllers"):
        (cgroups.leaf / name).unlink()
    cgroups.leaf.rmdir()
    assert cgroups.refused(cpu=1) == f"cpu cannot be limited: the cgroup {cgroups.leaf} is gone"


def test_strangers_in_the_parent_are_named(cgroups: Cgroups) -> None:
    cgroups.refuse("cgroup.subtree_control", errno.EBUSY)
    (cgroups.parent / "cgroup.procs").write_text(f"{os.getpid()}\n{os.getppid()}\n0\n")
    name = Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    reason = cgroups.refused(memory=4096, cpu=1)
    assert reason.startswith(
        f"memory and cpu cannot be limited: processes of others are in {cgroups.parent}: "
        f"{os.getppid()} ({name}); "
    )
    assert "systemd-run --user --scope -p Delegate=yes" in reason
    assert cgroups.written == []


def test_of_many_strangers_some_are_named(cgroups: Cgroups) -> None:
    pids = range(2**30, 2**30 + 7)  # larger than any pid
    (cgroups.parent / "cgroup.procs").write_text("\n".join(map(str, pids)))
    reason = why_busy(str(cgroups.parent))
    assert reason
    assert f": {', '.join(map(str, pids[:5]))} and 2 more; " in reason


def test_a_stranger_that_left_meanwhile_is_not_made_up(cgroups: Cgroups) -> None:
    cgroups.refuse("cgroup.subtree_control", errno.EBUSY)
    reason = cgroups.refused(cpu=1)
    assert reason == "cpu cannot be limited: Device or resource busy"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_parent_that_is_not_delegated_is_named(cgroups: Cgroups, number: int) -> None:
    cgroups.refuse("cgroup.subtree_control", number)
    path = cgroups.parent / "cgroup.subtree_control"
    assert cgroups.refused(cpu=1) == (
        f"cpu cannot be limited: {path} is not delegated to this user"
    )


def test_all_missing_controllers_are_told_with_their_places(cgroups: Cgroups) -> None:
    (cgroups.parent / "cgroup.controllers").write_text("pids\n")
    (cgroups.parent.parent / "cgroup.controllers").write_text("cpu pids\n")
    cgroups.version_1["memory"] = "/sys/fs/cgroup/memory/a"
    above = cgroups.parent.parent
    assert cgroups.refused(memory=4096, processes=1, cpu=1) == (
        "memory cannot be limited: the controller 'memory' is on cgroup version 1, at "
        "/sys/fs/cgroup/memory/a; "
        f"cpu cannot be limited: {above}/cgroup.subtree_control does not pass on the controller "
        "'cpu'"
    )
    assert cgroups.written == []


def test_a_controller_that_no_cgroup_has_is_told(cgroups: Cgroups) -> None:
    (cgroups.parent / "cgroup.controllers").write_text("cpu\n")
    assert why_missing(str(cgroups.parent), "processes") == (
        f"processes cannot be limited: no cgroup above {cgroups.parent} has the controller 'pids'"
    )


def test_the_dying_have_the_processor_for_themselves(cgroups: Cgroups) -> None:
    (cgroups.leaf / "cgroup.kill").touch()
    cgroup = cgroups.tree()
    assert cgroup.kill()
    assert cgroups.written == [("cgroup.kill", "1")]
    cgroup.limit(Limits(cpu=0.5))
    cgroups.written.clear()
    assert cgroup.kill()
    assert cgroups.written == [("cpu.max", "max"), ("cgroup.kill", "1")]


def test_each_change_lifts_what_was_set_before_and_nothing_else(cgroups: Cgroups) -> None:
    cgroup = cgroups.tree()
    cgroup.limit(Limits(processes=5))
    cgroups.written.clear()
    cgroup.limit(Limits(cpu=2))
    assert cgroups.written == [
        ("cgroup.subtree_control", "+cpu"),
        ("pids.max", "max"),
        ("cpu.max", "200000 100000"),
    ]
    cgroups.written.clear()
    cgroup.limit(Limits())
    assert cgroups.written == [("cpu.max", "max 100000")]
