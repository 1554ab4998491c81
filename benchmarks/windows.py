"""On Windows, ``python -m benchmarks.windows``: against taskkill and psutil's recipe.

Each killer ends the same trees by force, in turn, a new one each time.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import IO, cast

import psutil

from benchmarks.killers import psutil_recipe
from proctree_kill import TreePopen, kill_tree, snapshot_tree
from proctree_kill._systems import current
from proctree_kill._systems.windows import process_table

NODE = """
import json, subprocess, sys, time
source, token, spec = sys.argv[1:]
node = json.loads(spec)

def start(child):
    command = [sys.executable, "-I", "-S", "-c", source, source, token, json.dumps(child)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    process.stdout.readline()
    if child["dies"]:
        process.wait()
    return process

children = [start(child) for child in node["children"]]
print("up", flush=True)
while node["restarts"]:
    children.pop().wait()
    children.append(start(node["children"][0]))
if not node["dies"]:
    time.sleep(1000)
"""
"""The program of each process, which passes it on to its children as an argument."""
SUSPENDED = 4  # CREATE_SUSPENDED: they cost no processor
DYING = 2.0  # seconds that killed processes may still be seen after the killer has returned

Node = dict[str, object]
Popen = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Case:
    """A tree, and whether a shell starts it."""

    name: str
    root: Node
    wrapped: bool = False


@dataclass(frozen=True)
class Killer:
    """A way to end trees, and to start them."""

    name: str
    kill: Callable[[Popen], object]
    start: Callable[..., Popen] = subprocess.Popen


@dataclass
class Record:
    """All kills of one killer in one case: seconds to its return, and number of survivors."""

    seconds: list[float] = field(default_factory=list)
    survivors: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        """Return a cell of the table."""
        left = f", **{max(self.survivors)} left**" if any(self.survivors) else ""
        return f"{median(self.seconds) * 1000:.0f} ms{left}"


def node(*children: Node, dies: bool = False, restarts: bool = False) -> Node:
    """Describe a process and its children."""
    return {"children": list(children), "dies": dies, "restarts": restarts}


CASES = (
    Case("one process", node()),
    Case("three levels, 7", node(*(node(node(), node()) for _ in range(2)))),
    Case("30 children", node(*(node() for _ in range(30)))),
    Case("below `cmd.exe /c`", node(node(), node()), wrapped=True),
    Case("the middle restarts its worker", node(node(node(), restarts=True))),
    Case("the middle has died", node(node(node(), dies=True))),
)


def by_taskkill(root: Popen) -> None:
    """End a tree as the documentation of taskkill describes."""
    tool = Path(os.environ["SYSTEMROOT"], "System32", "taskkill.exe")
    command = [str(tool), "/T", "/F", "/PID", str(root.pid)]
    subprocess.run(command, capture_output=True, check=False)


KILLERS = (
    Killer("ours", lambda root: kill_tree(root.pid, grace=0)),
    Killer("ours, contained", lambda root: kill_tree(root, grace=0), TreePopen),
    Killer("psutil's recipe", lambda root: psutil_recipe.kill(root.pid, 0)),
    Killer("`taskkill /T /F`", by_taskkill),
)


def measure(case: Case, killer: Killer, record: Record) -> None:
    """Start a tree, have it ended, and end what is left."""
    token = uuid.uuid4().hex
    command = [sys.executable, "-I", "-S", "-c", NODE, NODE, token, json.dumps(case.root)]
    root = killer.start(command, stdout=subprocess.PIPE, shell=case.wrapped)
    output = cast("IO[bytes]", root.stdout)
    output.readline()
    begin = time.perf_counter()
    killer.kill(root)
    record.seconds.append(time.perf_counter() - begin)
    left = _left(token, time.monotonic() + DYING)
    record.survivors.append(len(left))
    for process in left:
        process.kill()
    root.wait()
    output.close()


def _left(token: str, until: float) -> list[psutil.Process]:
    """Return the processes of a tree that are alive, once there are none or the time is over."""
    while left := [process for process in psutil.process_iter() if token in _arguments(process)]:
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    return left


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.Error, OSError):
        return []


def measure_scans(others: int, rounds: int) -> None:
    """Print what one scan costs beside other processes, which were started before the tree."""
    command = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(1000)"]
    strangers = [subprocess.Popen(command, creationflags=SUSPENDED) for _ in range(others)]
    try:
        rows, environments, scans = (list[float]() for _ in range(3))
        with TreePopen(command) as root:
            aim = root.aim()
            for _ in range(rounds):
                rows.append(_seconds(process_table.read))
                with current() as system:
                    scans.append(_seconds(lambda: snapshot_tree(root)))
                    environments.append(
                        _seconds(lambda: [system.carries(p.pid, aim.markers) for p in strangers])
                    )
            root.kill()
    finally:
        for stranger in strangers:
            stranger.kill()
    print(f"| beside {others} processes | median |\n|---|---|")
    print(f"| the process table | {median(rows) * 1000:.1f} ms |")
    print(f"| their environments, one by one | {median(environments) * 1000:.0f} ms |")
    print(f"| a snapshot of a contained tree | {median(scans) * 1000:.0f} ms |")


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="kills for each killer and case")
    parser.add_argument("--scan", type=int, metavar="N", help="one scan beside N processes instead")
    options = parser.parse_args()
    rounds: int = options.rounds
    if options.scan:
        measure_scans(options.scan, rounds)
        return
    print("| tree |", " | ".join(killer.name for killer in KILLERS), "|")
    print("|---|", "|".join("---" for _ in KILLERS), "|", sep="")
    for case in CASES:
        records = [Record() for _ in KILLERS]
        for turn in range(rounds + 1):
            for killer, record in zip(KILLERS, records, strict=True):
                measure(case, killer, Record() if turn == 0 else record)
        print("|", case.name, "|", " | ".join(map(str, records)), "|", flush=True)


if __name__ == "__main__":
    main()
