"""Pure, but for what is pasted (real): the README where it is read: in a clone, on an index."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.snippets import ROOT, Block, blocks

LINK = re.compile(r"\]\((?!\w+:)([^)#]+)")  # not to another site
TEXT = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("link", sorted({*LINK.findall(TEXT)}))
def test_a_link_names_a_file(link: str) -> None:
    assert (ROOT / link).is_file()


def test_on_a_package_index_no_link_is_broken() -> None:
    shown = described()
    assert not LINK.search(shown)
    assert "Tutorial (`docs/tutorial.md`)" in shown
    python = re.compile(r"```python\n.*?```", re.DOTALL)
    assert python.findall(shown) == python.findall(TEXT)


@pytest.mark.needs("fork")
@pytest.mark.parametrize(
    "block",
    [block for block in blocks("python") if block.page == "README"],
    ids=lambda block: block.name,
)
def test_an_example_can_be_pasted(block: Block, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-i", "-q"],
        input=block.text,
        check=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert set(done.stderr.split()) <= {">>>", "..."}


def described() -> str:
    """Return the description that the metadata of the package has."""
    pytest.importorskip("hatch_fancy_pypi_readme")
    core = pytest.importorskip("hatchling.metadata.core")
    manager: Any = pytest.importorskip("hatchling.plugin.manager").PluginManager()
    readme = core.ProjectMetadata(str(ROOT), manager).core.readme
    assert isinstance(readme, str)
    return readme
