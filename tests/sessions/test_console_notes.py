"""Pure: what the session console keeps of a session, and the names that it gives to processes."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from support.consoles import ROOT

PACKAGE = "docs.examples.session_console"
AGENT = f"{PACKAGE}.agent"


@pytest.fixture(autouse=True)
def console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])


def part(name: str) -> Any:  # noqa: ANN401 - mypy does not see what is imported by name
    """Import a module of the console: its folder is not installed."""
    return import_module(f"{PACKAGE}.{name}")


def card() -> Any:  # noqa: ANN401 - as above
    row = part("_rows").Row(11, "agent", 1, 0, ["root"])
    made = part("_cards").Card("github-1", "octo/app", stubborn=True, started_at=2.0, rows=[row])
    made.log.append("asks: when?")
    made.question = {"message": "when?", "schema": {}}
    return made


def test_a_note_brings_back_the_last_tree_and_log(tmp_path: Path) -> None:
    part("_notes").Notes(tmp_path).begin(card())
    (found,) = part("_notes").Notes(tmp_path).cards()
    assert (found.id, found.repository, found.state) == ("github-1", "octo/app", "recovering")
    assert [(row.pid, row.name, row.fate) for row in found.rows] == [(11, "agent", "unknown")]
    assert list(found.log) == ["asks: when?"]
    assert found.question is None


def test_a_note_holds_what_the_page_showed_and_nothing_else(tmp_path: Path) -> None:
    part("_notes").Notes(tmp_path).begin(card())
    note = json.loads((tmp_path / "github-1.json").read_text())
    keys = {"repository", "stubborn", "started_at", "pid", "rows", "events", "log"}
    assert note.keys() == keys
    shown = {"pid", "name", "ppid", "depth", "evidence", "fate", "signals", "seconds"}
    assert note["rows"][0].keys() == shown


def test_a_note_is_bounded(tmp_path: Path) -> None:
    big = card()
    big.rows *= 5000
    big.log.extend(["x" * 100] * 5000)
    part("_notes").Notes(tmp_path).begin(big)
    (found,) = part("_notes").Notes(tmp_path).cards()
    assert (len(found.rows), len(found.log)) == (200, 50)


def test_a_note_that_cannot_be_read_is_named_and_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torn = tmp_path / "github-2.json"
    torn.write_text('{"repository": "octo')
    assert part("_notes").Notes(tmp_path).cards() == []
    assert str(torn) in caplog.text
    assert torn.exists()


def test_a_change_after_the_end_does_not_bring_a_note_back(tmp_path: Path) -> None:
    notes = part("_notes").Notes(tmp_path)
    notes.begin(card())
    notes.drop("github-1")
    notes.update(card())
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_cannot_be_written_leaves_the_older_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes, changed = part("_notes").Notes(tmp_path), card()
    notes.begin(changed)
    (tmp_path / "github-1.new").mkdir()  # in the way of the new file
    changed.log.append("more")
    notes.update(changed)
    assert "the note of github-1 cannot be written" in caplog.text
    assert len(part("_notes").Notes(tmp_path).cards()) == 1


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["python3", "-m", f"{AGENT}.preview"], "preview HTTP server"),
        (["C:\\Python\\python.exe", "-m", f"{AGENT}.github"], "GitHub-like MCP server"),
        (["python3", "-m", AGENT, "--", "octo/app"], None),  # a child before its program begins
        (["npm exec @modelcontextprotocol/server-everything", ""], "npx"),
        (["sh", "-c", "'mcp-server-everything'"], "shell of npx"),
        (["/usr/bin/node", "/npm/.bin/mcp-server-everything"], "server-everything"),
        (["sh", "-c", "make"], None),
        (["python3", "-m"], None),
        ([], None),
    ],
)
def test_a_process_is_named_by_its_command_line(arguments: list[str], name: str | None) -> None:
    assert part("_known_names").name_of(arguments, is_root=False) == name


def test_the_root_is_the_agent() -> None:
    assert part("_known_names").name_of([], is_root=True) == "agent"
