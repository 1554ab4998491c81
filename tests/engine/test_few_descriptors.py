"""Real: kills with hardly a descriptor left; a cold program refuses before it touches."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from proctree_kill import Fate, kill_tree
from support.nodes import Node, chain
from support.planter import Planter
from support.times import LONG

pytestmark = pytest.mark.needs("fork", "pidfd")

PROGRAM = """
import asyncio, os, resource, subprocess, sys
import proctree_kill
from support.descriptors import few_descriptors

kind, free = sys.argv[1], int(sys.argv[2])
if kind == "awaited":
    kill = proctree_kill.akill_tree
    loop = asyncio.new_event_loop()
    call = lambda target: loop.run_until_complete(kill(target, grace=0))
else:
    kill = proctree_kill.kill_tree
    call = lambda target: kill(target, grace=0)
start = subprocess.Popen if kind == "pid" else proctree_kill.TreePopen
stubborn = ["sh", "-c", "trap '' TERM; sleep 1000 & echo; wait"]
root = start(stubborn, stdout=subprocess.PIPE, start_new_session=True)
root.stdout.readline()
root.stdout.close()

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
with few_descriptors(free):
    try:
        result = call(root.pid if kind == "pid" else root)
    except OSError as error:
        said = os.strerror(error.errno)
    else:
        said = [outcome.fate for outcome in result.outcomes]
print(said, root.poll(), sep=";")
if root.returncode is None:
    with open(f"/proc/{root.pid}/stat") as stat:
        print("stopped" if stat.read().rpartition(")")[2].split()[0] in "TtZX" else "alive")
proctree_kill.kill_tree(root, grace=0)
root.wait()
"""


@pytest.mark.parametrize("kind", ["pid", "tree", "awaited"])
@pytest.mark.parametrize("free", range(5))
def test_three_free_descriptors_are_enough_and_fewer_touch_nothing(kind: str, free: int) -> None:
    program = f"import sys; sys.path[:] = {json.dumps(sys.path)}\n{PROGRAM}"
    command = [sys.executable, "-I", "-S", "-c", program, kind, str(free)]
    ran = subprocess.run(command, capture_output=True, check=False, text=True)
    killed = "[<Fate.KILLED: 'killed'>, <Fate.KILLED: 'killed'>];-9\n"
    assert ran.stderr == ""
    assert ran.stdout == (killed if free >= 3 else "Too many open files;None\nalive\n")


def test_deaths_are_noticed_though_no_descriptor_can_be_kept(
    monkeypatch: pytest.MonkeyPatch, plant: Planter
) -> None:
    from proctree_kill._systems.linux import pidfd_handles  # noqa: PLC0415 - not on every system

    monkeypatch.setattr(pidfd_handles, "FIRST_BUDGET", 0)
    monkeypatch.setattr(pidfd_handles.PidfdHandles, "_room", lambda _: False)
    tree = plant(Node(name="root", children=(chain("a", "b"),)))
    result = kill_tree(tree.root.pid, grace=LONG)
    assert [outcome.fate for outcome in result.outcomes] == [Fate.TERMINATED] * 3
    assert tree.all_dead()
