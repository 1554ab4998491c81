"""Pure: the manual page names what the parser has. Real: it is rendered, and it is in a build."""

from __future__ import annotations

import argparse
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from proctree_kill._cli.parser import make_parser
from support.times import BOUND

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page() -> str:
    """Make the page."""
    made: str = runpy.run_path(str(ROOT / "docs" / "manpage.py"))["page"]()
    return made


@pytest.fixture
def rendered(page: str) -> str:
    """Render the page; a warning is an error."""
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbou", "-ww"],
        input=page,
        capture_output=True,
        text=True,
        check=True,
        timeout=BOUND,
    )
    assert done.stderr == ""
    return done.stdout


def test_each_command_and_each_option_is_described(page: str) -> None:
    parser = make_parser()
    for name, command in parser.commands.items():
        section = page.partition(f".SS {name}: ")[2].partition(".SS")[0]
        assert "exit codes:" in section
        for action in command.actions:
            if action.dest == "help" or action.help == argparse.SUPPRESS:
                continue
            for option in action.option_strings:
                assert option.replace("-", r"\-") in section


def test_it_is_rendered_without_a_warning(rendered: str) -> None:
    lines = rendered.splitlines()
    assert "       proctree-kill - end process trees" in lines
    assert "       -h, --help" in lines
    assert "       0      all processes are gone, also if there was nothing to do" in lines
    assert "       proctree-kill kill 4711" in lines


def test_a_build_has_it(page: str, tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=BOUND)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".1"))
        assert name.endswith(".data/data/share/man/man1/proctree-kill.1")
        assert archive.read(name).decode() == page
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        file = archive.extractfile(f"{sdist.name.removesuffix('.tar.gz')}/proctree-kill.1")
        assert file is not None
        assert file.read().decode() == page
