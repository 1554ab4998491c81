"""Real: the project whose second test leaks."""

from __future__ import annotations

import re
import subprocess

import pytest

from support.examples import command, options

pytestmark = pytest.mark.needs("fork")


def test_the_test_that_leaks_is_named() -> None:
    argv = command("pytest_project")
    alone = options(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    done = subprocess.run([*argv, "-p", "no:cacheprovider"], check=False, **alone)
    assert done.returncode == 1
    found = re.findall(r"^test_server.* left .*$", done.stdout, re.MULTILINE)
    # a shell that was just forked has not yet become sleep
    assert [re.sub(r"(sleep|sh) \(\d+\)", "sleep (N)", line) for line in found] == [
        "test_server.py::test_that_leaks left sleep (N)"
    ]
    assert "2 passed, 1 error" in done.stdout
