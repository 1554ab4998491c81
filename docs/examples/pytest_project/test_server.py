"""Tests of a server that starts processes; the second test leaves one behind."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from proctree_kill import TreePopen

SERVER = ["sh", "-c", "sleep 1000 & echo ready; wait"]


def test_the_server_answers(tree_popen: Callable[..., TreePopen[str]]) -> None:
    server = tree_popen(SERVER, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    assert server.stdout.readline() == "ready\n"
    # the whole tree ends with the test


def test_that_leaks() -> None:
    server = subprocess.Popen(SERVER, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    assert server.stdout.readline() == "ready\n"
    server.kill()  # the shell ends, and not what it started
    server.wait()
    server.stdout.close()
