"""Real: disks that are read-only or full. What cannot be written down is not started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proctree_kill import SessionManager, TreePopen, errors, recover
from support.agents import files, killed_after
from support.callers import in_namespace, make_read_only, mount_disk
from support.records import write
from support.threads import running_threads, wait_for_new_threads

pytestmark = pytest.mark.needs("pid namespace")

# Bytes; what tmpfs(5) gives to a file, however small.
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
AGENT = ["sleep", "1000"]


def children() -> list[str]:
    """Return the other processes in this pid namespace."""
    return [name for name in os.listdir("/proc") if name.isdecimal() and name != "1"]  # noqa: PTH208 - names only


def refusal(folder: Path) -> str:
    """Say why an agent is not started there."""
    threads = running_threads()
    with pytest.raises(errors.RecordError) as raised:
        SessionManager(folder).spawn_agent("a", AGENT)
    with pytest.raises(errors.RecordError):
        TreePopen(AGENT, record=folder / "session_b.pid")
    wait_for_new_threads(threads)  # one of them may reap the guard
    return raised.value.reason


def test_a_read_only_disk_starts_nothing(tmp_path: Path) -> None:
    def scene() -> tuple[str, list[str]]:
        mount_disk(tmp_path, size=PAGE, read_only=True)
        return refusal(tmp_path), children()

    assert in_namespace(scene) == ("it cannot be written: Read-only file system", [])


@pytest.mark.parametrize("room", [0, 1], ids=["for nothing", "for the intent only"])
def test_a_full_disk_starts_nothing_that_lasts(tmp_path: Path, room: int) -> None:
    def scene() -> tuple[str, list[str], set[str]]:
        mount_disk(tmp_path, size=(1 + room) * PAGE)
        (tmp_path / "filler").write_bytes(b"x" * PAGE)
        return refusal(tmp_path), children(), files(tmp_path)

    reason = "it cannot be written: No space left on device"
    assert in_namespace(scene) == (reason, [], {"filler"})


def test_a_recovery_on_a_read_only_disk_ends_and_says_that_the_record_stays(
    tmp_path: Path,
) -> None:
    def scene() -> tuple[str, str]:
        killed_after(lambda: write(tmp_path, "a"))
        make_read_only(tmp_path)
        (outcome,) = recover(tmp_path).outcomes
        return outcome.fate, str(outcome.detail)

    fate, detail = in_namespace(scene)
    assert fate == "gone"
    assert "cannot be removed: Read-only file system" in detail
