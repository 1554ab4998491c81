"""A killer in a process of its own: ``python -m benchmarks.worker MODULE THREADS``.

It writes its pid when it has imported everything. A request is a line ``PID GRACE CGROUP``, an
answer ``START END CPU ALIVE MEMORY``: seconds of the monotonic clock, and the KiB by which the
resident memory grew. The workers in C and JavaScript do the same, without pid and memory.
Only a worker in Python starts trees: the request is a line ``child ["ARGV0", ...]``
or ``contained [...]``, the answer is the pid of the root.
"""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path


def _cpu() -> float:
    # without the children: the tree may be our own
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory(name: str) -> int:
    rows = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith(name))


def main(module: str, threads: str) -> None:
    """Answer requests until there are no more."""
    killer = import_module(f"benchmarks.killers.{module}")
    children: list[subprocess.Popen[bytes]] = []
    for _ in range(int(threads)):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    print(os.getpid(), flush=True)
    for line in sys.stdin:
        word, rest = line.split(maxsplit=1)
        if not word.isdecimal():
            argv: list[str] = json.loads(rest)
            if word == "contained":
                print(killer.start(argv), flush=True)
            else:
                child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
                children.append(child)
                print(child.pid, flush=True)
            continue
        grace = float(rest.split()[0])
        with suppress(OSError):  # not in every kernel; 5: VmHWM begins anew
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        resident = _memory("VmRSS")
        start, used = time.monotonic(), _cpu()
        alive = killer.kill(int(word), grace)
        end, spent = time.monotonic(), _cpu() - used
        print(start, end, spent, alive, _memory("VmHWM") - resident, flush=True)
        while children:
            children.pop().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
