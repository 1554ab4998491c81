"""Real: ``run --die-with-stdin`` below an ssh server on loopback."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.nodes import Node
from support.planter import NODE
from support.runs import HASTE, PATIENCE
from support.sshd import over, serving
from support.times import BOUND
from support.trees import Tree

LEFT_BY_A_LOGIN = Node(
    name="root",
    on_term="ignore",
    children=(
        Node(name="child", on_term="ignore"),
        Node(name="own session", on_term="ignore", session=True),
        Node(name="first", session=True, dies=True, children=(Node(name="daemon", session=True),)),
    ),
)
# The end of the input is a packet that may come when the command runs already.
AT_THE_END = [
    *(sys.executable, "-I", "-S", "-c"),
    "import os, select, sys; select.select([0], [], []); os.execvp(sys.argv[1], sys.argv[1:])",
]
SOON = ("-v", "--linger", "0", "--grace", HASTE)  # verbose: it writes to a pipe that broke

pytestmark = pytest.mark.needs("sshd")


def test_the_tree_ends_when_the_client_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path) as ssh, remote_tree(ssh, tmp_path) as (client, tree):
        client.kill()
        assert tree.all_dead(BOUND)


@pytest.mark.needs("root")  # the server of an ordinary user gives no terminal
@pytest.mark.parametrize("option", [["--die-with-stdin"], []], ids=["with it", "without"])
def test_with_a_terminal_the_hangup_ends_the_tree(tmp_path: Path, option: list[str]) -> None:
    with (
        serving(tmp_path) as ssh,
        remote_tree([*ssh, "-tt"], tmp_path, option) as (client, tree),
    ):
        client.kill()
        assert tree.all_dead(BOUND)


def test_a_client_that_is_silent_is_noticed_by_the_server_that_asks(tmp_path: Path) -> None:
    with serving(tmp_path, alive=1) as ssh, remote_tree(ssh, tmp_path) as (client, tree):
        client.send_signal(signal.SIGSTOP)  # as where the network is cut
        assert tree.all_dead(BOUND)


def test_each_byte_passes_in_both_directions(tmp_path: Path) -> None:
    data = os.urandom(8 << 20)
    with serving(tmp_path) as ssh:
        command = over(ssh, "--die-with-stdin", "--linger", PATIENCE, "--", "cat")
        done = subprocess.run(command, input=data, capture_output=True, check=False)
    assert (done.returncode, done.stdout == data, done.stderr) == (0, True, b"")


def test_without_an_input_nothing_is_started(tmp_path: Path) -> None:
    with serving(tmp_path) as ssh:
        run = ("--die-with-stdin", "--", "echo", "started")
        command = over([*ssh, "-n"], *run, before=AT_THE_END)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (125, "")
    assert "standard input is at its end" in done.stderr


@contextmanager
def remote_tree(
    ssh: Sequence[str], folder: Path, options: Sequence[str] = ("--die-with-stdin",)
) -> Iterator[tuple[subprocess.Popen[bytes], Tree]]:
    """Run a tree below the server, and yield its client and the tree when all has started."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    tree = Tree(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), None, LEFT_BY_A_LOGIN.names())
    writer = os.open(pipe, os.O_WRONLY)  # so that the pipe has no end before the tree begins
    node = [sys.executable, "-I", "-S", str(NODE), repr(LEFT_BY_A_LOGIN.description())]
    planted = f"exec 9>{pipe}; PLANT_PIPE=9 PLANT_CGROUP=-1 exec {shlex.join(node)}"
    command = over(ssh, *options, *SOON, "--", "sh", "-c", planted)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as client:
        try:
            tree.await_started()
            os.close(writer)
            yield client, tree
        finally:
            client.kill()
            tree.end()
