"""Pure: the wishes of the environment. Seam: a stream that says it is a terminal."""

from __future__ import annotations

import io

import pytest

from proctree_kill._cli.streams import has_colours, moves_cursor, styled, width_of
from proctree_kill._models.text import can_write

NAMES = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM", "COLUMNS")


class Stream(io.StringIO):
    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def fileno(self) -> int:
        return 1


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "proctree_kill._systems.reads_escapes", lambda _: True
    )  # a console is asked
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("wish", "on_terminal", "piped"),
    [
        ("", True, False),
        ("NO_COLOR=1", False, False),
        ("NO_COLOR=", True, False),
        ("NO_COLOR=1 FORCE_COLOR=1", False, False),
        ("FORCE_COLOR=1", True, True),
        ("FORCE_COLOR=3", True, True),
        ("FORCE_COLOR=0", False, False),
        ("FORCE_COLOR=1 TERM=dumb", True, True),
        ("CLICOLOR_FORCE=1", True, True),
        ("CLICOLOR_FORCE=0", True, False),
        ("CLICOLOR=1", True, False),
        ("CLICOLOR=0", False, False),
        ("CLICOLOR=0 CLICOLOR_FORCE=1", True, True),
        ("TERM=dumb", False, False),
    ],
)
def test_colours_are_as_the_environment_wishes(
    wish: str, monkeypatch: pytest.MonkeyPatch, *, on_terminal: bool, piped: bool
) -> None:
    for name, _, value in (part.partition("=") for part in wish.split()):
        monkeypatch.setenv(name, value)
    assert has_colours(Stream(is_terminal=True)) is on_terminal
    assert has_colours(Stream(is_terminal=False)) is piped
    assert not has_colours(None)


def test_only_a_terminal_that_is_not_dumb_moves_its_cursor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert moves_cursor(Stream(is_terminal=True))
    assert not moves_cursor(Stream(is_terminal=False))
    monkeypatch.setenv("TERM", "dumb")
    assert not moves_cursor(Stream(is_terminal=True))


@pytest.mark.parametrize(("columns", "width"), [("40", 40), ("0", 80), ("wide", 80)])
def test_columns_is_the_width_of_a_terminal(
    columns: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.get_terminal_size", lambda _: type("Size", (), {"columns": 0}))
    monkeypatch.setenv("COLUMNS", columns)
    assert width_of(Stream(is_terminal=True)) == width
    assert width_of(Stream(is_terminal=False)) is None


def test_a_style_may_have_two_words() -> None:
    assert styled("text", "bold red") == "\x1b[1;31mtext\x1b[0m"
    assert styled("text", "") == "text"


def test_an_encoding_may_lack_a_character() -> None:
    assert can_write(io.TextIOWrapper(io.BytesIO(), "utf-8"), "·")
    assert not can_write(io.TextIOWrapper(io.BytesIO(), "ascii"), "·")
