"""The cost of importing the package and of starting the command line."""

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
    """The medians of the starts of one program, in seconds."""

    wall: float
    cpu: float


def measure(rounds: int, pid: int) -> dict[str, Start]:
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
    return {name: _median(measured[1:]) for name, measured in starts.items()}


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


def _median(starts: list[Start]) -> Start:
    return Start(median(start.wall for start in starts), median(start.cpu for start in starts))
