"""Pipelines of a job-control shell that dies while their first part is ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess

from proctree_kill import kill_tree

from .times import BOUND

# Says the numbers of a and b of `a | b`, which block until they are killed. They ignore SIGHUP:
# if the shell dies while a is stopped, the kernel sends that to their group (setpgid(2)).
PIPELINE = (
    "trap '' HUP; set -m; exec 3>&1; sh -c 'echo $$ >&3; exec sleep 1000' | "
    "sh -c 'echo $$ >&3; exec sleep 1000' & {}"
)


def harmed(times: int) -> int:
    """End the first part of so many pipelines; return of how many the other part died as well.

    The shell is killed just before: its children get another parent during the search.
    """
    return sum(_is_harmed() for _ in range(times))


def _is_harmed() -> bool:
    command = ["bash", "-c", PIPELINE.format("wait")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as shell:
        assert shell.stdout
        numbers = {int(shell.stdout.readline()) for _ in range(2)}
        first = os.getpgid(min(numbers))
        [second] = numbers - {first}
        other = os.pidfd_open(second)
        try:
            shell.kill()
            result = kill_tree(first, grace=0)
            assert len(result.outcomes) == 1, result.summary()
            return bool(select.select([other], [], [], 0)[0])
        finally:
            signal.pidfd_send_signal(other, signal.SIGKILL)
            select.select([other], [], [], BOUND)  # or it would outlive the test
            os.close(other)
