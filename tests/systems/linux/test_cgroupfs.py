"""Pure: where the cgroups of version 2 are, by what the kernel tells; and the names of ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("fcntl", reason="what is for Linux needs POSIX to be imported")

from proctree_kill._systems.contract import CellUsage, UnavailableError
from proctree_kill._systems.linux import cgroupfs, procfs
from proctree_kill._systems.linux.cgroupfs import (
    above_ours,
    find,
    is_deserted,
    owner_name,
    owner_of,
)

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
BOUND = "30 23 0:26 /docker/1 /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw"
HOST = "30 23 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup rw"
SPACED = r"30 23 0:26 / /mnt/my\040cgroups rw - cgroup2 cgroup rw"


@pytest.mark.parametrize(
    ("mountinfo", "membership", "folder"),
    [
        (V2, "0::/", "/sys/fs/cgroup"),
        (V2, "0::/user.slice/a.scope", "/sys/fs/cgroup/user.slice/a.scope"),
        (HYBRID, "9:memory:/x\n1:name=systemd:/y\n0::/z\n", "/sys/fs/cgroup/unified/z"),
        (BOUND, "0::/docker/1", "/sys/fs/cgroup"),
        (BOUND, "0::/docker/1/init", "/sys/fs/cgroup/init"),
        (f"{BOUND}\n{SPACED}", "0::/docker/2", "/mnt/my cgroups/docker/2"),
        (V2, "0::/a/proctree-0a1b2c3d-1-2-3-home", None),
        (V2, "0::/a/proctree-0a1b2c3d-1-2-3-00ff00ff", None),
        (V2, "0::/gone (deleted)", "/sys/fs/cgroup/gone"),
    ],
)
def test_the_folder_of_a_process(mountinfo: str, membership: str, folder: str | None) -> None:
    below = membership.rpartition("::")[2]
    assert find(mountinfo, membership) == (folder or f"/sys/fs/cgroup{below}")


@pytest.mark.parametrize(
    "below", ["", "-home", "-home/proctree-0a1b2c3d-1-2-3-00ff00ff-entry", "-00ff00ff-entry"]
)
def test_an_owner_finds_its_way_back_from_wherever_it_moved_itself(below: str) -> None:
    name = f"/proctree-0a1b2c3d-1-2-3{below}" if below else ""
    assert above_ours(f"/cg/a{name}") == "/cg/a"
    assert above_ours("/cg/proctree-0a1b2c3d-1-2-3-00ff00ff") != "/cg"  # a tree's own


@pytest.mark.parametrize(
    ("mountinfo", "membership", "reason"),
    [
        (V1, "9:memory:/", "no cgroup of version 2"),
        (V1, "9:memory:/\n0::/", "no cgroup of version 2"),
        (V2, "9:memory:/", "no cgroup of version 2"),
        ("", "", "no cgroup of version 2"),
        (BOUND, "0::/docker/2", "cannot be seen"),
        (BOUND, "0::/docker", "cannot be seen"),
        (V2, "0::/../outside", "cannot be seen"),
        (HOST, "0::/../outside", "cannot be seen"),
    ],
)
def test_why_there_is_none(mountinfo: str, membership: str, reason: str) -> None:
    with pytest.raises(UnavailableError, match=reason):
        find(mountinfo, membership)


@pytest.mark.parametrize(
    "end",
    [
        *["", ".0123abcd", ".0123abcd-00ff00ff", ".0123abcd-00ff00ff-entry", ".0123abcd-home"],
        *["-00ff00ff", "-00ff00ff-entry", "-00ff00ff-door", "-home"],
    ],
)
def test_a_name_says_whose_it_is(end: str) -> None:
    assert owner_of(f"proctree-0a1b2c3d-4026531836-12-345{end}") == (
        "0a1b2c3d",
        4026531836,
        12,
        345,
    )


@pytest.mark.parametrize(
    "name", ["", "proctree-test-12-00ff00ff", "proctree-1-2-3-4", "init.scope", "proctree"]
)
def test_a_strangers_name_says_nothing(name: str) -> None:
    assert owner_of(name) is None
    assert not is_deserted(name)


@pytest.mark.needs("procfs")
class TestTheOwner:
    """Real: an owner is known to be dead, or is left alone."""

    def test_this_process_lives(self) -> None:
        assert owner_of(owner_name())
        assert not is_deserted(f"{owner_name()}-00ff00ff")

    def test_another_start_or_boot_or_a_free_number_is_dead(self) -> None:
        boot, namespace, pid, start = owner_of(owner_name()) or ("", 0, 0, 0)
        assert is_deserted(f"proctree-{boot}-{namespace}-{pid}-{start + 1}")
        assert is_deserted(f"proctree-00000000-{namespace}-{pid}-{start}")
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        assert is_deserted(f"proctree-{boot}-{namespace}-{child}-{start}")

    def test_another_program_is_dead_and_a_hidden_one_lives(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name, _, program = owner_name().partition(".")
        assert not is_deserted(f"{name}-00ff00ff")  # as an earlier release names it
        assert not is_deserted(f"{name}.{program}-00ff00ff")
        assert is_deserted(f"{name}.00000000-00ff00ff")
        monkeypatch.setattr(cgroupfs, "addresses", lambda _: None)
        assert owner_name() == name
        assert not is_deserted(f"{name}.00000000-00ff00ff")

    def test_numbers_of_another_pid_namespace_are_left_alone(self) -> None:
        boot, namespace, pid, start = owner_of(owner_name()) or ("", 0, 0, 0)
        assert not is_deserted(f"proctree-{boot}-{namespace + 1}-{pid}-{start + 1}")

    def test_a_hidden_owner_lives(self, monkeypatch: pytest.MonkeyPatch) -> None:
        boot, namespace, _, _ = owner_of(owner_name()) or ("", 0, 0, 0)
        monkeypatch.setattr(procfs, "stat", lambda _: None)
        assert not is_deserted(f"proctree-{boot}-{namespace}-1-1")


def test_what_a_cgroup_used_is_read_as_far_as_its_kernel_tells(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text(
        "usage_usec 3500000\nuser_usec 2500000\nsystem_usec 1000000\n"
    )
    assert cgroupfs.usage(str(tmp_path)) == CellUsage(2.5, 1.0)
    (tmp_path / "memory.peak").write_text("4096\n")
    (tmp_path / "pids.peak").write_text("12\n")
    (tmp_path / "memory.events").write_text(
        "low 0\nhigh 0\nmax 7\noom 1\noom_kill 0\noom_group_kill 0\n"
    )
    assert cgroupfs.usage(str(tmp_path)) == CellUsage(2.5, 1.0, 4096, 12, out_of_memory=False)


@pytest.mark.parametrize("events", ["oom 1\noom_kill 1\n", "oom_kill 0\noom_group_kill 1\n"])
def test_a_kill_for_want_of_memory_is_told(tmp_path: Path, events: str) -> None:
    (tmp_path / "cpu.stat").write_text("user_usec 0\nsystem_usec 0\n")
    (tmp_path / "memory.events").write_text(events)
    assert cgroupfs.usage(str(tmp_path)).out_of_memory is True


def test_a_cgroup_that_is_gone_tells_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        cgroupfs.usage(str(tmp_path / "gone"))
