"""Pure: the words of the package, the tests and the pages. A process is a thing, not a person.

``docs/contributing.md`` has the rule and better words.
"""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PERSONS = ["who", "whom", "whoever", "somebody", "nobody", "everybody", "anybody"]
PERSONS += ["someone", "everyone"]
PERSON = re.compile(rf"\b({'|'.join(PERSONS)})\b", re.IGNORECASE)
WORD = re.compile(r"\b[\w']+\b")
PART_OF_NAME = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
NOT_PROSE = re.compile(r"```.*?```|`[^`\n]*`|^>[^\n]*|\"[^\"\n]*\"", re.DOTALL | re.MULTILINE)
TEXT = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.COMMENT)}


class Place(NamedTuple):
    """A word where it stands."""

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}: {self.text}"


def sources(folder: str) -> Iterator[Path]:
    """Yield the Python files of the package or the tests, but for this list of words."""
    return (path for path in sorted((ROOT / folder).rglob("*.py")) if path != Path(__file__))


def pages() -> Iterator[Path]:
    """Yield the pages. The changelog keeps the words of its time."""
    yield ROOT / "README.md"
    yield from (path for path in (ROOT / "docs").glob("*.md") if path.name != "changelog.md")


def texts(path: Path) -> Iterator[Place]:
    """Yield the strings and comments of a Python file, line by line."""
    with tokenize.open(path) as source:
        for token in tokenize.generate_tokens(source.readline):
            if token.type in TEXT:
                for number, line in enumerate(token.string.splitlines(), token.start[0]):
                    yield Place(path, number, line)


def prose(path: Path) -> Iterator[Place]:
    """Yield the lines of a page without its code and its quotations."""
    text = NOT_PROSE.sub(lambda part: "\n" * part[0].count("\n"), path.read_text(encoding="utf-8"))
    for number, line in enumerate(text.splitlines(), 1):
        yield Place(path, number, line)


def identifiers() -> Iterator[Place]:
    """Yield the names that the package and the tests give and use."""
    for path in (*sources("proctree_kill"), *sources("tests")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            for field in ("id", "arg", "attr", "name", "asname"):
                name = getattr(node, field, None)
                if isinstance(name, str):
                    yield Place(path, getattr(node, "lineno", 0), name)


def listing(places: Iterable[Place]) -> str:
    """Return a line for each place, without repetitions."""
    return "\n".join(dict.fromkeys(map(str, places)))


@pytest.mark.parametrize("part", ["proctree_kill", "tests", "pages"])
def test_at_most_one_word_in_a_thousand_stands_for_a_person(part: str) -> None:
    files, read = (pages(), prose) if part == "pages" else (sources(part), texts)
    places = [place for path in files for place in read(path)]
    words = sum(len(WORD.findall(place.text)) for place in places)
    found = [place for place in places for _ in PERSON.findall(place.text)]
    assert words
    assert len(found) <= words / 1000, f"{len(found)} of {words} words:\n{listing(found)}"


def test_no_name_holds_a_word_for_a_person() -> None:
    found = [
        place
        for place in identifiers()
        if not {part.lower() for part in PART_OF_NAME.findall(place.text)}.isdisjoint(PERSONS)
    ]
    assert not found, listing(found)


def test_no_variable_is_called_one() -> None:
    found = [place for place in identifiers() if place.text == "one"]
    assert not found, listing(found)


def test_the_name_of_a_test_has_less_than_80_characters() -> None:
    names = (place for place in identifiers() if place.text.startswith("test_"))
    found = [place for place in names if len(place.text) >= 80]
    assert not found, listing(found)
