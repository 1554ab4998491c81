"""Pure: help at the width of the terminal."""

from __future__ import annotations

import pytest

from proctree_kill._cli.help import COMMANDS
from proctree_kill._cli.parser import make_parser, parse

WIDTHS = (40, 60, 80, 120)


def texts() -> dict[str, str]:
    parser = make_parser()
    return {"": parser.format_help()} | {
        name: command.format_help() for name, command in parser.commands.items()
    }


@pytest.mark.parametrize("width", WIDTHS)
def test_help_fits_the_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for text in texts().values():
        assert max(map(len, text.splitlines())) <= min(width, 100)


def test_no_word_is_cut_or_lost_at_40_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    wide = texts()
    monkeypatch.setenv("COLUMNS", "40")
    narrow = texts()
    assert wide.keys() == {"", *COMMANDS}
    assert {name: text.split() for name, text in narrow.items()} == {
        name: text.split() for name, text in wide.items()
    }


def test_an_option_stays_with_its_value_in_a_usage_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    usage = make_parser().commands["run"].format_usage()
    lines = [line.strip() for line in usage.splitlines()]
    assert max(map(len, usage.splitlines())) < 40
    assert not [line for line in lines if line.endswith(("--timeout", "--grace", "--signal"))]
    assert usage.split()[-3:] == ["[--]", "COMMAND", "..."]


def test_a_usage_error_is_wrapped_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with pytest.raises(SystemExit):
        parse(["kill", "7", "--grace", "a rather long word for a number"])
    assert max(map(len, capsys.readouterr().err.splitlines())) <= 40
