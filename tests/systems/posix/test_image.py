"""Seam: what macOS says of a program image; no test has run there."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace
from typing import Protocol

import pytest

from proctree_kill._systems.posix import image as posix_image


class Answer(Protocol):
    """A buffer of ctypes, whose class is private."""

    raw: bytes


def macos(answer: bytes) -> SimpleNamespace:
    """Return a ctypes whose library has proc_pidinfo."""

    def ask(pid: int, flavor: int, argument: ctypes.c_uint64, found: Answer, size: int) -> int:
        assert (pid, flavor, argument.value, size) == (12, 17, 0, 56)
        found.raw = answer
        return len(answer)

    library = SimpleNamespace(proc_pidinfo=ask)
    return SimpleNamespace(**{**vars(ctypes), "CDLL": lambda _: library})


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        (bytes(32) + (7).to_bytes(4, "little") + bytes(20), ("7",)),
        (b"", ()),  # it is gone
    ],
)
def test_the_version_of_a_pid_is_its_token(
    answer: bytes, tokens: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posix_image, "_ctypes", macos(answer))
    monkeypatch.setattr(sys, "byteorder", "little")
    assert posix_image.image(12) == tokens


@pytest.mark.parametrize("library", [None, SimpleNamespace(CDLL=lambda _: object())])
def test_a_system_without_it_has_none(library: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix_image, "_ctypes", library)
    assert posix_image.image(12) == ()
