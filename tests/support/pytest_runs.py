"""Runs of pytest with our plugin, and what is left of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proctree_kill import Containment, Fate, kill_tree
from proctree_kill._engine.rest import RestWaiter
from proctree_kill._engine.target import aim

from .times import BOUND

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
    names: list[str] = []
    with _marked() as containment:
        yield names
    outcomes = kill_tree(containment, grace=0).outcomes
    names += [str(outcome.name) for outcome in outcomes if outcome.fate is Fate.KILLED]


def run_to_the_end(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    """Run a file of tests as ``run`` does, and wait for its servants: they outlive its process."""
    with _marked() as containment:
        ran = run(pytester, source, *options)
    with RestWaiter(aim(containment)) as waiter:
        until = time.monotonic() + BOUND
        assert waiter.wait(lambda: until), f"still alive: {waiter.living()}"
    return ran


@contextmanager
def _marked() -> Iterator[Containment]:
    """Mark what is started in the block."""
    containment = Containment.prepare("session")
    name, _, value = containment.marker.partition("=")
    os.environ[name] = value
    try:
        yield containment
    finally:
        del os.environ[name]
