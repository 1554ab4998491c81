"""Seam: processes that show no environment for a moment, and those that must not be asked."""

from __future__ import annotations

import os
from typing import Any

import pytest

pytest.importorskip("fcntl", reason="what is for Linux needs POSIX to be imported")

from proctree_kill import TreePopen
from proctree_kill._systems.linux import memory, procfs
from proctree_kill._systems.linux.system import LinuxSystem

pytestmark = pytest.mark.needs("procfs")

SLEEP = ["sleep", "1000"]


@pytest.fixture
def blank(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Show nothing of processes for the next reads, as often as listed."""
    read, looks = procfs.read, [""] * 6

    def partly(path: str) -> bytes:
        if path.endswith(("/environ", "/cmdline")) and looks:
            looks.pop()
            return b""
        return read(path)

    monkeypatch.setattr(procfs, "read", partly)
    return looks


def test_it_is_looked_at_again(blank: list[str]) -> None:
    with TreePopen(SLEEP) as process, LinuxSystem() as system:
        marker = process.containment.marker.encode()
        while system.carries(process.pid, [marker]) is None:
            pass
        assert blank == []
        assert system.carries(process.pid, [marker])
        process.stop(grace=0)


@pytest.mark.parametrize(
    ("facts", "carries"),
    [({"state": b"D"}, None), ({"flags": procfs.PF_KTHREAD}, False)],
    ids=["asleep", "the kernel's"],
)
def test_an_environment_that_could_block_the_reader_or_is_none_is_not_read(
    facts: dict[str, Any], *, carries: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = procfs.stat(os.getpid())
    assert found
    monkeypatch.setattr(procfs, "stat", lambda _: found._replace(**facts))
    monkeypatch.setattr(procfs, "read", no_environment)
    assert memory.carries(os.getpid(), [b"A=1"]) is carries


def no_environment(path: str) -> bytes:
    """Return a process of which nothing is known and nothing may be read."""
    assert path.endswith(("/wchan", "/stack"))
    return b"0"
