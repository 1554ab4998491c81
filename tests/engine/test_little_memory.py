"""Real: a cold program that has just failed for want of memory ends a tree."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.needs("fork", "pidfd")

PROGRAM = """
import asyncio, os, resource, subprocess, sys
import proctree_kill

kind = sys.argv[1]
stubborn = ["sh", "-c", "trap '' TERM; sleep 1000 & echo; wait"]
root = subprocess.Popen(stubborn, stdout=subprocess.PIPE, start_new_session=True)
root.stdout.readline()
root.stdout.close()
if kind == "awaited":
    kill, loop = proctree_kill.akill_tree, asyncio.new_event_loop()
    call = lambda: loop.run_until_complete(kill(root, grace=0))
else:
    kill = proctree_kill.kill_tree
    call = lambda: kill(root.pid, grace=0)

with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))
taken = []
for size in (1 << 30, 1 << 20, 1 << 12, 1 << 8):
    try:
        while True:
            taken.append(bytearray(size))
    except MemoryError:
        pass
del taken
result = call()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print([outcome.fate for outcome in result.outcomes])
root.wait()
"""


@pytest.mark.parametrize("kind", ["pid", "awaited"])
def test_a_program_at_its_limit_of_memory_ends_a_tree(kind: str) -> None:
    program = f"import sys; sys.path[:] = {json.dumps(sys.path)}\n{PROGRAM}"
    command = [sys.executable, "-I", "-S", "-c", program, kind]
    ran = subprocess.run(command, capture_output=True, check=False, text=True)
    assert ran.stderr == ""
    assert ran.stdout == "[<Fate.KILLED: 'killed'>, <Fate.KILLED: 'killed'>]\n"
