"""Real: ssh clients that are killed while the command below the server starts, and later."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from support.counts import SOAK_CONNECTIONS
from support.sshd import over, serving
from support.times import BOUND
from support.trees import Tree

LONGEST = 1.5  # seconds up to the kill; a tree has started by then where the machine is idle
TREE = "setsid sleep 1000 & (setsid sleep 1000 &); exec sleep 1000"

pytestmark = [pytest.mark.soak, pytest.mark.needs("sshd")]


def test_a_client_that_is_killed_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    tree = Tree(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), None, ())
    writer = os.open(pipe, os.O_WRONLY)
    holding = ["sh", "-c", 'exec 9>"$1"; shift; exec "$@"', "sh", str(pipe)]
    try:
        with serving(tmp_path) as ssh:
            command = over(ssh, "--die-with-stdin", "--", "sh", "-c", TREE, before=holding)
            for index in range(SOAK_CONNECTIONS):
                with subprocess.Popen(
                    command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
                ) as client:
                    time.sleep(LONGEST * index / SOAK_CONNECTIONS)
                    client.kill()
        # the server and all that it had to start have begun; only they hold the pipe now
        os.close(writer)
        assert tree.all_dead(BOUND)
    finally:
        tree.end()
