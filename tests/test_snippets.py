"""Real: each Python example of the pages runs, leaves no process, and prints what its page says.

Sphinx runs those of the form ``>>>`` (``nox -s docs``); ``nox -s types`` checks the types of all.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from proctree_kill._cli.parser import parse
from support.capabilities import has
from support.snippets import PAGES, ROOT, Block, blocks

LIBRARIES = ("anyio", "fastapi", "mcp", "pexpect")  # a machine may lack them
PRINTED = re.compile(r"\s*It prints:\s*```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MACHINE = re.compile(
    r"(?<!\S)-?[\d.]+( s\b)?|\b(?:EXIT|CONT)\b|\b(?:cgroup|descendant|marker|session)\b,?"
)
KIND = r"^ *(?:```|~~~|:::)({literalinclude}(?= examples/)|.+$)"
PYTEST = ["-m", "pytest", "-q", "-p", "proctree_kill._pytest_plugin"]


@pytest.mark.needs("fork")
@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.name)
def test_an_example_runs(block: Block, tmp_path: Path) -> None:
    for library in LIBRARIES:
        if re.search(rf"^(?:import|from) {library}\b", block.text, re.MULTILINE):
            pytest.importorskip(library)
    if '"npx"' in block.text and not has("npx"):
        pytest.skip("npx is not installed")
    file = tmp_path / "test_example.py"
    file.write_text(block.text, encoding="utf-8")
    more = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    more |= {"npm_config_offline": "true", "npm_config_loglevel": "silent"}
    done = subprocess.run(
        [sys.executable, *(PYTEST if "def test_" in block.text else []), file],
        check=False,
        cwd=tmp_path,
        env={**os.environ, **more},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    if printed := PRINTED.match(block.rest):
        assert without_numbers(done.stdout) == without_numbers(printed[1])


@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: block.name)
def test_a_configuration_is_toml(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", blocks("console"), ids=lambda block: block.name)
def test_a_command_is_understood(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = re.findall(
        r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text("utf-8"), re.MULTILINE
    )
    monkeypatch.chdir(tmp_path)
    Path("DIR").mkdir()
    for line in re.findall(r"^\$ (.*)$", block.text, re.MULTILINE):
        for command in line.split(" && "):
            program, *arguments = shlex.split(command, comments=True)
            if program == "proctree-kill":
                assert parse(arguments).command
            elif program == "nox":
                assert arguments[1].split("(")[0] in sessions


def test_no_block_is_of_a_kind_that_is_neither_checked_nor_known() -> None:
    checked = {"python", "{doctest}", "console", "toml"}
    known = {"text", "yaml", "{toctree}", "{list-table}", "{eval-rst}", "{glossary}"}
    known |= {"{include} ../CHANGELOG.md", "{literalinclude}"}
    for page in PAGES:
        kinds = re.findall(KIND, page.read_text("utf-8"), re.MULTILINE)
        assert {*kinds} <= checked | known, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_link_has_a_text_without_sphinx_too(page: Path) -> None:
    assert "[](" not in page.read_text("utf-8")


def without_numbers(text: str) -> list[list[str]]:
    """Leave out pids, times, and what depends on the machine: exit codes and evidence."""
    return [MACHINE.sub("", line).split() for line in text.splitlines()]
