"""Runs of pytest with our plugin, and what is left of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proctree_kill import Containment, Fate, kill_tree

PLUGINS = ("-p", "proctree_kill._pytest_plugin")


def run(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    """Run a file of tests in a pytest of its own process."""
    pytester.makepyfile(source)
    return pytester.runpytest_subprocess(*PLUGINS, *options)


def run_here(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    """Run a file of tests in a pytest inside this process, which starts much sooner."""
    pytester.makepyfile(source)
    return pytester.runpytest_inprocess(*PLUGINS, *options)


@contextmanager
def what_it_leaves() -> Iterator[list[str]]:
    """Yield a list, which has the names of the processes that lived when the block ended."""
    containment = Containment.prepare("session")
    name, _, value = containment.marker.partition("=")
    os.environ[name] = value
    names: list[str] = []
    try:
        yield names
    finally:
        del os.environ[name]
        outcomes = kill_tree(containment, grace=0).outcomes
        names += [str(outcome.name) for outcome in outcomes if outcome.fate is Fate.KILLED]
