"""Real: the example in the README prints what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.needs("fork")
def test_the_example_prints_what_the_readme_says() -> None:
    (code, *_), (*_, said) = blocks("python"), blocks("text")
    assert without_times(run(code)) == without_times(said)


@pytest.mark.needs("fork")
def test_the_example_that_starts_trees_leaves_no_process() -> None:
    _, code, _ = blocks("python")
    first, second = run(code).splitlines()
    assert first == "back after half a second, and no process is left"
    assert re.fullmatch(r"\d terminated in [\d.]+ s", second)


@pytest.mark.needs("fork")
def test_the_example_of_a_session_ends_it() -> None:
    *_, code = blocks("python")
    assert run(code).startswith("session chat-7: it was ended by force; ")


def run(code: str) -> str:
    """Run an example, and return what it prints."""
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def without_times(text: str) -> str:
    """Replace what a clock decided."""
    return re.sub(r"[\d.]+ s\b", "a time", text)
