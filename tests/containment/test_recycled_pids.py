"""Real: a root that TreePopen reaped, and a stranger that has its number."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from proctree_kill import Evidence, TreePopen, kill_tree
from support.callers import in_namespace
from support.capabilities import has
from support.recycling import Stranger, StrangerMaker
from support.times import PATIENCE

pytestmark = pytest.mark.needs("pid namespace", "next pid", "pidfd inode")

# A root that ends when it is told to, and leaves a daemon. No process is in its session: the kernel
# keeps a number while a session has it. The daemon has its name when it has written a line.
SCRIPT = "setsid tail -fn1 /etc/passwd & read line"


def end_a_recycled_root(way: str) -> tuple[str, list[str | None], bytes]:
    """Give the number of a reaped root to a stranger, end the tree, and return the result."""
    with StrangerMaker() as maker:
        process = TreePopen(["sh", "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin
        assert process.stdout
        with process.stdin, process.stdout:
            assert process.stdout.readline()
            process.stdin.close()
            process.wait()
            maker.start(process.pid)
            stranger = Stranger(process.pid)
            try:
                if way == "kill":
                    process.kill()
                result = kill_tree(process, grace=0)
                harm = stranger.harm()
                rest = process.stdout.read()
            finally:
                stranger.end()
    return (
        harm,
        [outcome.name for outcome in result.outcomes if Evidence.ROOT not in outcome.evidence],
        rest,
    )


@pytest.mark.parametrize("way", ["kill", "stop"])
def test_the_stranger_is_not_touched_and_what_was_left_is_ended(way: str) -> None:
    harm, left, rest = in_namespace(lambda: end_a_recycled_root(way))
    assert harm == ""
    assert left == ["tail"]
    assert rest == b""


def leave_a_recycled_child() -> tuple[str, list[int | None]]:
    """Give the number of a root that other code reaped to another child of ours."""
    with StrangerMaker() as maker:
        process = TreePopen(["true"])
        os.waitpid(process.pid, 0)
        maker.start(process.pid)
        stranger = Stranger(process.pid)
        try:
            process.send_signal(signal.SIGTERM)
            codes = [process.wait(timeout=PATIENCE), process.poll()]
            return stranger.harm(), codes
        finally:
            stranger.end()


def test_a_root_that_another_call_reaped_is_not_mistaken_for_the_next_child() -> None:
    harm, codes = in_namespace(leave_a_recycled_child)
    assert harm == ""
    # Before Linux 6.15 the code is known only if the root was dead when it was first looked at.
    assert codes == [0, 0] or (codes == [255, 255] and not has("exit status of the reaped"))
