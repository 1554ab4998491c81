"""The examples in the pages, as code that type checkers and tests read.

``python tests/support/snippets.py FOLDER`` writes each as a module. Its lines have the numbers that
they have in the page: an error at ``how_to_end_12.py:40`` is in ``docs/how-to-end.md``, line 40.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ONE_STORY = ["tutorial"]  # elsewhere each section is complete by itself
FENCE = re.compile(r"^```(\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# A doctest shows values by bare expressions.
HEADER = "# pyright: strict, reportUnusedExpression=false"


class Block(NamedTuple):
    """A fenced block.

    Args:
        page: the stem of its page's name.
        language: ``python``, ``{doctest}``, ``console``, ...
        line: the number of its first line.
        section: how many headings stand before it, but for the page's title.
        text: what it holds.
        rest: what follows it on the page.
    """

    page: str
    language: str
    line: int
    section: int
    text: str
    rest: str

    @property
    def name(self) -> str:
        """A name for it, also of a module."""
        return f"{self.page}_{self.line}".replace("-", "_")


def blocks(*languages: str) -> list[Block]:
    """Return the blocks of these languages, in the order of the pages."""
    return [block for page in PAGES for block in _blocks(page) if block.language in languages]


def modules() -> dict[str, str]:
    """Return the code of each example by the name of a module."""
    found = {block.name: _module([block]) for block in blocks("python")}
    for _, of_section in groupby(blocks("{doctest}"), lambda block: (block.page, block.section)):
        examples = list(of_section)
        found[examples[0].name] = _module(examples)
    return found


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        before, rest = text[: fence.start()], text[fence.end() :]
        section = len(re.findall(r"^##+ ", before, re.MULTILINE))
        section = min(section, 1) if page.stem in ONE_STORY else section
        yield Block(page.stem, fence[1], before.count("\n") + 2, section, fence[2], rest)


def _module(parts: list[Block]) -> str:
    lines = [HEADER]
    for block in parts:
        lines += [""] * (block.line - 1 - len(lines))
        lines += block.text.splitlines() if block.language == "python" else _inputs(block.text)
    return "\n".join(lines) + "\n"


def _inputs(text: str) -> Iterator[str]:
    """Yield the input of a doctest, and an empty line for each line of output."""
    for line in text.splitlines():
        yield line[4:] if line.startswith((">>>", "...")) else ""


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name, code in modules().items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
