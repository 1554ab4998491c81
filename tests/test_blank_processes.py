"""Seam: processes that show no environment for a moment, and those that must not be asked."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("fcntl", reason="what is for Linux needs POSIX to be imported")

from proctree_kill import TreePopen
from proctree_kill._platform import _procfs
from proctree_kill._platform._linux import LinuxSystem

pytestmark = pytest.mark.needs("procfs")

SLEEP = ["sleep", "1000"]


@pytest.fixture
def blank(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Show nothing of processes for the next reads, as many as are listed."""
    read, looks = _procfs.read, [""] * 6

    def partly(path: str) -> bytes:
        if path.endswith(("/environ", "/cmdline")) and looks:
            looks.pop()
            return b""
        return read(path)

    monkeypatch.setattr(_procfs, "read", partly)
    return looks


def test_it_is_waited_for(blank: list[str]) -> None:
    with TreePopen(SLEEP) as process, closing(LinuxSystem()) as system:
        marker = process.containment.marker.encode()
        assert system.carries(process.pid, [marker])
        assert blank == []
        assert not system.disturbed
        process.stop(grace=0)


def test_one_that_stays_blank_is_doubted_once(blank: list[str]) -> None:
    blank += [""] * 1000
    with TreePopen(SLEEP) as process, closing(LinuxSystem()) as system:
        for doubted in (True, False):
            system.begin_scan()
            assert not system.carries(process.pid, [b"A=1"])
            assert system.disturbed is doubted
        blank.clear()
        process.stop(grace=0)


@pytest.mark.parametrize(
    "facts", [{"state": b"D"}, {"flags": _procfs.PF_KTHREAD}], ids=["asleep", "the kernel's"]
)
def test_who_could_block_the_reader_or_has_none_is_not_asked(
    facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _procfs.stat(os.getpid())
    assert found
    monkeypatch.setattr(_procfs, "stat", lambda _: found._replace(**facts))
    monkeypatch.setattr(_procfs, "read", refuse)
    assert _procfs.carries(os.getpid(), [b"A=1"]) is False


def refuse(path: str) -> bytes:
    """Be nothing that may be called."""
    raise AssertionError(path)
