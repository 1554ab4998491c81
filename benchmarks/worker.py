"""A killer in a process of its own: ``python -m benchmarks.worker MODULE``.

A request is a line ``PID GRACE CGROUP``, an answer ``START END CPU ALIVE``,
in seconds of the monotonic clock. The workers in C and JavaScript do the same.
"""

import resource
import sys
import time
from importlib import import_module


def _cpu() -> float:
    sources = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, sources))


def main(module: str) -> None:
    """Answer requests until there are no more."""
    kill = import_module(f"benchmarks.killers.{module}").kill
    for line in sys.stdin:
        pid, grace, _ = line.split()
        start, used = time.monotonic(), _cpu()
        alive = kill(int(pid), float(grace))
        print(start, time.monotonic(), _cpu() - used, alive, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
