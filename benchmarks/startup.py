"""The cost of importing the package, of starting the command line, and a cold first kill."""

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.plant import PlantedTree, Shape

if TYPE_CHECKING:
    from pathlib import Path

BARE = "bare Python"
IMPORT = "import proctree_kill"
MODEL = "import psutil, define one pydantic model"
COMMAND = "command line: tree PID"
FREE = 3  # descriptors that a kill needs

_MODEL_SOURCE = """
import psutil
from pydantic import BaseModel

class Model(BaseModel):
    pid: int
"""
_COLD_SOURCE = """
import os, resource, sys
import proctree_kill as pk

pid, free = map(int, sys.argv[1:])
kill = pk.kill_tree
modules = set(sys.modules)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    for descriptor in taken[len(taken) - free:]:
        os.close(descriptor)
try:
    survivors = len(kill(pid, grace=0).survivors)
except OSError:
    survivors = -1
print(survivors, len(set(sys.modules) - modules))
"""


@dataclass(frozen=True)
class Start:
    """One start of a program, in seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class ColdKill:
    """A first kill of a program that has imported the package only, with few free descriptors.

    Attributes:
        modules: how many were loaded by the kill itself.
        ended: whether the whole tree died with the least number of free descriptors.
        refused: whether with fewer it was an OSError, and the tree untouched.
    """

    modules: int
    ended: bool
    refused: bool


def measure(rounds: int, pid: int) -> dict[str, list[Start]]:
    """Start each program in turn.

    Args:
        rounds: the number of starts of each program.
        pid: the process whose tree the command line draws.
    """
    programs = {
        BARE: ["-c", "pass"],
        IMPORT: ["-c", "import proctree_kill"],
        MODEL: ["-c", _MODEL_SOURCE],
        COMMAND: ["-m", "proctree_kill", "tree", str(pid)],
    }
    starts: dict[str, list[Start]] = {name: [] for name in programs}
    for _ in range(rounds + 1):
        for name, arguments in programs.items():
            starts[name].append(_start(arguments))
    # without the first start, which wrote the byte code
    return {name: measured[1:] for name, measured in starts.items()}


def kill_cold(plant: "Path") -> ColdKill:
    """End a tree of 10 with three free descriptors, and try it with two."""
    results = {}
    for free in (FREE, FREE - 1):
        with PlantedTree(plant, Shape(10)) as tree:
            command = [sys.executable, "-c", _COLD_SOURCE, str(tree.root), str(free)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
            survivors, modules = map(int, output.split())
            results[free] = survivors, modules, tree.death(0.0) is not None
    survivors, modules, dead = results[FREE]
    return ColdKill(modules, survivors == 0 and dead, results[FREE - 1][::2] == (-1, False))


def _start(arguments: list[str]) -> Start:
    begin, used = time.monotonic(), _children_cpu()
    # an installed package has its byte code
    variables = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    command = [sys.executable, *arguments]
    subprocess.run(command, env=variables, check=True, stdout=subprocess.DEVNULL)
    return Start(time.monotonic() - begin, _children_cpu() - used)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
