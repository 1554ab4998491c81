"""What it costs to start: the import of the package, and the command line."""

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median

BARE = "bare Python"
IMPORT = "import proctree_kill"
MODEL = "import psutil, define one pydantic model"
COMMAND = "command line: tree PID"

_MODEL_SOURCE = """
import psutil
from pydantic import BaseModel

class Model(BaseModel):
    pid: int
"""


@dataclass(frozen=True)
class Start:
    """The medians of one program's starts, in seconds."""

    wall: float
    cpu: float


def measure(rounds: int, pid: int) -> dict[str, Start]:
    """Start each program in turn.

    Args:
        rounds: how often each one starts.
        pid: a process of ours whose tree the command line draws.
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
    # The first start wrote the byte code and is left out.
    return {name: _median(some[1:]) for name, some in starts.items()}


def _start(arguments: list[str]) -> Start:
    begin, used = time.monotonic(), _children_cpu()
    # Who installs a package has its byte code.
    variables = {name: it for name, it in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *arguments]
    subprocess.run(command, env=variables, check=True, stdout=subprocess.DEVNULL)
    return Start(time.monotonic() - begin, _children_cpu() - used)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _median(starts: list[Start]) -> Start:
    return Start(median(start.wall for start in starts), median(start.cpu for start in starts))
