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
    (code,), (*_, said) = blocks("python"), blocks("text")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert without_times(done.stdout) == without_times(said)


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def without_times(text: str) -> str:
    """Replace what a clock decided."""
    return re.sub(r"[\d.]+ s\b", "a time", text)
