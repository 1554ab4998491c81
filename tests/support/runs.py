"""Runs of the command line's ``run`` without a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .nodes import Node
from .planter import Planter
from .times import BOUND
from .trees import Tree

RUN = [sys.executable, "-m", "proctree_kill", "run"]
PATIENCE = "60"  # seconds of grace; never pass in full
HASTE = "0.2"  # seconds; pass in full
STUBBORN = Node(name="root", on_term="ignore", children=(Node(name="child", on_term="ignore"),))
# What a shell does until a signal, which its trap sees at once. Its child says so: it has the
# traps of the shell no more, so that it does not seem to handle the signal.
STAY = "(echo there; exec sleep 1000) & while :; do wait $!; sleep 1000 & done"


def run(
    *argv: str, options: list[str] | None = None, **popen: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without a terminal."""
    return subprocess.run(
        [*RUN, *(options or []), "--", *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND,
        start_new_session=True,
        **popen,
    )


@contextmanager
def running(
    plant: Planter, root: Node, *options: str, **popen: Any
) -> Iterator[tuple[subprocess.Popen[str], Tree]]:
    """Run a planted tree without a terminal, and yield it when all of it has started."""
    with plant.prepare(root, env=os.environ) as prepared:
        popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen, **prepared.options}
        argv = [*RUN, *options, "--", *prepared.argv]
        command = subprocess.Popen(argv, text=True, start_new_session=True, **popen)
    with command:
        try:
            prepared.tree.await_started()
            yield command, prepared.tree
        finally:
            command.kill()


@contextmanager
def shell(
    script: str, *options: str, before: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Run a shell that stays, without a terminal, and yield it when its traps are set."""
    with shell_as_it_is(f"{script} {STAY}", *options, before=before) as command:
        yield command


@contextmanager
def shell_as_it_is(
    script: str, *options: str, before: Sequence[str] = (), stdin: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a shell without a terminal, and yield it when its script says that it is there."""
    with subprocess.Popen(
        [*before, *RUN, *options, "--", "sh", "-c", script],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command:
        try:
            assert command.stdout
            assert command.stdout.readline() == "there\n"
            yield command
        finally:
            command.kill()


def heed(name: str) -> str:
    """Return a trap by which a shell reports a signal and leaves."""
    # The shell's own child ignores SIGINT and SIGQUIT: it would stay for the whole grace.
    return f"trap 'echo caught; kill $!; exit 9' {name.removeprefix('SIG')};"
