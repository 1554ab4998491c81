"""Trees that are contained from the start: ours, ``cgroup.kill`` by itself, and processkit.

``python -m benchmarks.contained`` needs a C compiler and a writable cgroup (version 2).
``processkit`` (processkit-py 1.5) is measured if it is installed.
"""

import argparse
import contextlib
import importlib
import importlib.util
import itertools
import os
import select
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from proctree_kill import TreePopen
from proctree_kill._systems.linux.cgroup import TreeCgroup

from .entering import busy_loops
from .toolchain import build

SCRIPT = 'exec 9>"$0"; exec "$@"'
BOUND = 60.0  # seconds; a longer wait is a failure
FEW_ZOMBIES = 20


class Contained(Protocol):
    """A tree that runs."""

    def end(self) -> None:
        """End it by force, and wait for its end in the manner of this tool."""


class Ours:
    """TreePopen."""

    def __init__(self, argv: list[str]) -> None:
        """Start a tree."""
        self._process = TreePopen(argv, stdin=subprocess.DEVNULL, containment="kernel")

    def end(self) -> None:
        """Stop it at once, with the whole result."""
        self._process.stop(grace=0).raise_for_survivors()


class Bare:
    """A cgroup, ``cgroup.kill``, and a wait until it is empty: the least that is needed."""

    def __init__(self, argv: list[str]) -> None:
        """Start a tree."""
        self._cgroup = TreeCgroup.make()
        with self._cgroup.spawning(lambda act: act()):
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)

    def end(self) -> None:
        """Kill it, and poll until it can be removed."""
        self._cgroup.kill()
        while not self._cgroup.remove():
            time.sleep(0.0005)
        self._process.wait()


class Processkit:
    """processkit-py: a ProcessGroup, which takes a cgroup if it can."""

    def __init__(self, argv: list[str]) -> None:
        """Start a tree."""
        kit: Any = importlib.import_module("processkit")
        self._group = kit.ProcessGroup()
        command = kit.Command(argv[0], argv[1:]).stdout("null").stderr("null")
        self._process = self._group.start(command)

    def end(self) -> None:
        """Kill the group, and wait for its end."""
        self._group.kill_all()
        self._group.shutdown()


Way = Callable[[list[str]], Contained]
WAYS: dict[str, Way] = {"ours": Ours, "cgroup.kill": Bare, "processkit": Processkit}


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="trees of each size, each way")
    parser.add_argument("--spawns", type=int, default=300, help="daemons, each way")
    parser.add_argument("--counts", type=int, nargs="*", default=[10, 100, 1000])
    options = parser.parse_args()
    ways = dict(WAYS)
    if not importlib.util.find_spec("processkit"):
        ways.pop("processkit")
        print("left out: processkit is not installed")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        programs = {name: build(name, folder) for name in ("crowd", "escapist")}
        print("| kill | " + " | ".join(ways) + " | ours to cgroup.kill |")
        print("|---" * (len(ways) + 2) + "|")
        for count in options.counts:
            taken = kills(ways, programs["crowd"], count, folder, options.rounds)
            ratio = median(a / b for a, b in zip(taken["ours"], taken["cgroup.kill"], strict=True))
            cells = " | ".join(f"{median(taken[name]) * 1000:.1f} ms" for name in ways)
            print(f"| {count:,} | {cells} | {ratio:.2f} |", flush=True)
        spawned = spawns(ways, options.spawns)
        cells = " | ".join(f"{median(spawned[name]) * 1000:.2f} ms" for name in ways)
        print(f"| spawn | {cells} | |")
        with busy_loops(os.cpu_count() or 1):
            counts = [survivors(way, programs["escapist"], options.spawns) for way in ways.values()]
        print(f"| survivors of {options.spawns} | " + " | ".join(map(str, counts)) + " | |")


def kills(
    ways: dict[str, Way], program: Path, count: int, folder: Path, rounds: int
) -> dict[str, list[float]]:
    """Return the seconds until the call has returned and all are dead, measured in turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    pipe = folder / "started"
    for turn in range(rounds + 1):
        for name, way in ways.items():
            os.mkfifo(pipe)
            reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
            tree = way(["/bin/sh", "-c", SCRIPT, str(pipe), str(program), str(count)])
            wait_for_starts(reader, count)
            begin = time.perf_counter()
            tree.end()
            select.select([reader], [], [], BOUND)
            if turn:  # the first turn imports
                taken[name].append(time.perf_counter() - begin)
            os.close(reader)
            pipe.unlink()
            let_init_reap()
    return taken


def let_init_reap() -> None:
    """Wait until init has reaped the orphans of the last tree: the next killer would see them."""
    while True:
        pids = Path("/proc/1/task/1/children").read_text(encoding="ascii").split()
        states = [_state(pid) for pid in pids]
        if states.count("Z") < FEW_ZOMBIES:
            return
        time.sleep(0.01)


def _state(pid: str) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(")")[2].split()[0]


def wait_for_starts(reader: int, count: int) -> None:
    """Wait until this number of processes has written a byte."""
    while count > 0:
        select.select([reader], [], [], BOUND)
        with contextlib.suppress(BlockingIOError):
            count -= len(os.read(reader, 1 << 16))


def spawns(ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each start, measured in turn.

    All orders are equally frequent: the kernel is slow right after some of the ends.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    orders = itertools.cycle(itertools.permutations(ways))
    for order in itertools.islice(orders, rounds):
        for name in order:
            begin = time.perf_counter()
            tree = ways[name](["/bin/sleep", "1000"])
            taken[name].append(time.perf_counter() - begin)
            tree.end()
    return taken


def survivors(way: Way, program: Path, rounds: int) -> int:
    """Count the daemons without any tie that outlive the end of their trees."""
    alive = 0
    with TemporaryDirectory() as folder:
        pipe = Path(folder) / "daemon"
        stop = Path(folder) / "stop"
        os.mkfifo(pipe)
        os.mkfifo(stop)
        stop_end = os.open(stop, os.O_RDWR)
        reader = os.open(pipe, os.O_RDWR)
        for _ in range(rounds):
            tree = way(["/bin/sh", "-c", f"{SCRIPT} <{stop}", str(pipe), str(program), "9"])
            select.select([reader], [], [], BOUND)
            (pid,) = struct.unpack("i", os.read(reader, 4))
            descriptor = os.pidfd_open(pid)
            tree.end()
            if not select.select([descriptor], [], [], 0.1)[0]:
                alive += 1
                os.kill(pid, 9)
                select.select([descriptor], [], [], BOUND)
            os.close(descriptor)
        os.close(reader)
        os.close(stop_end)
    return alive


if __name__ == "__main__":
    main()
