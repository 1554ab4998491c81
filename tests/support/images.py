"""Owners that replace themselves by another program: pid, start and identity stay."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from proctree_kill import recover

from .agents import HASTY
from .pipe_holders import PipeHolders

START = """
import os, sys
from proctree_kill import SessionManager, recover
folder, *command = sys.argv[1:]
if not os.path.exists(folder):
    manager = SessionManager(folder, guard=False)
    for session_id, agent in zip("abc", [command, ["sleep", "1000"], ["sleep", "1000"]]):
        manager.spawn_agent(session_id, agent)
    os.execv(sys.executable, sys.orig_argv)
print(os.getpid(), flush=True)
input()
"""
"""Starts agents, replaces itself by the same program with the same arguments, and tells when."""
RECOVER = """
report = recover(folder)
print(report.summary())
print(*{outcome.detail for outcome in report.outcomes})
with SessionManager(folder, guard=False) as manager:
    for session_id in "abc":
        print(manager.spawn_agent(session_id, ["sleep", "1000"]).state)
try:
    print(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print("no children")
"""
"""What the new program then does: it ends what the old one started, and starts the same."""


class ReplacedOwner:
    """An owner of three sessions that runs another program by now, and waits.

    Args:
        process: the owner.
        holders: what one of its agents holds.
    """

    def __init__(self, process: subprocess.Popen[str], holders: PipeHolders) -> None:
        self.process = process
        self.holders = holders

    def resume(self) -> list[str]:
        """Let it go on; return what it says until its end."""
        said, _ = self.process.communicate("\n")
        assert self.process.returncode == 0
        return said.splitlines()


@contextmanager
def replaced_owner(folder: Path, before: Sequence[str] = ()) -> Iterator[ReplacedOwner]:
    """Start an owner, and wait until it has replaced itself.

    Args:
        folder: of the records, which is not there yet.
        before: a command that starts the first program.
    """
    pipe = subprocess.PIPE
    with PipeHolders(folder.parent) as holders:
        code = START + RECOVER
        command = [*before, sys.executable, "-c", code, str(folder), *holders.argv()]
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
            try:
                holders.await_started()
                assert process.stdout
                assert process.stdout.readline() == f"{process.pid}\n"
                yield ReplacedOwner(process, holders)
            finally:
                process.kill()
                process.wait()
                recover(folder, policy=HASTY)
