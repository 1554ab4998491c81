"""Trees that were contained from their birth: ours, ``cgroup.kill`` by itself, and processkit.

``python -m benchmarks.contained`` needs a C compiler and a cgroup (version 2) that may be written;
``processkit`` (processkit-py 1.5) is measured where it is installed.
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
from proctree_kill._systems.linux.cgroup import Leaf

from .entering import busy_loops
from .toolchain import build

SCRIPT = 'exec 9>"$0"; exec "$@"'
PATIENCE = 60.0
FEW = 20


class Contained(Protocol):
    """A tree that runs."""

    def end(self) -> None:
        """End it by force, and wait for its end as this way does."""


class Ours:
    """TreePopen."""

    def __init__(self, argv: list[str]) -> None:
        """Start a tree."""
        self._process = TreePopen(argv, stdin=subprocess.DEVNULL, containment="kernel")

    def end(self) -> None:
        """Stop it at once, with the whole result."""
        self._process.stop(grace=0).raise_for_survivors()


class Bare:
    """A cgroup, ``cgroup.kill``, and waiting until it is empty: the floor."""

    def __init__(self, argv: list[str]) -> None:
        """Start a tree."""
        self._leaf = Leaf.make()
        with self._leaf.spawning(lambda act: act()):
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)

    def end(self) -> None:
        """Kill it, and look until it can be removed."""
        self._leaf.kill()
        while not self._leaf.remove():
            time.sleep(0.0005)
        self._process.wait()


class Processkit:
    """processkit-py: a ProcessGroup, which takes a cgroup where there is one."""

    def __init__(self, argv: list[str]) -> None:
        """Start a tree."""
        kit: Any = importlib.import_module("processkit")
        self._group = kit.ProcessGroup()
        command = kit.Command(argv[0], argv[1:]).stdout("null").stderr("null")
        self._process = self._group.start(command)

    def end(self) -> None:
        """Kill everybody in the group, and wait for its end."""
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
    """Return the seconds until the call is back and everybody is dead, taken in turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    pipe = folder / "births"
    for turn in range(rounds + 1):
        for name, way in ways.items():
            os.mkfifo(pipe)
            ear = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
            tree = way(["/bin/sh", "-c", SCRIPT, str(pipe), str(program), str(count)])
            pipe_is_told(ear, count)
            begin = time.perf_counter()
            tree.end()
            select.select([ear], [], [], PATIENCE)
            if turn:  # the first one imports
                taken[name].append(time.perf_counter() - begin)
            os.close(ear)
            pipe.unlink()
            let_init_reap()
    return taken


def let_init_reap() -> None:
    """Wait until init has reaped what the last tree left it: the next killer would look at them."""
    while True:
        pids = Path("/proc/1/task/1/children").read_text(encoding="ascii").split()
        states = [_state(pid) for pid in pids]
        if states.count("Z") < FEW:
            return
        time.sleep(0.01)


def _state(pid: str) -> str:
    """Return the state of a process, by its letter."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(")")[2].split()[0]


def pipe_is_told(ear: int, count: int) -> None:
    """Wait until so many have spoken."""
    while count > 0:
        select.select([ear], [], [], PATIENCE)
        with contextlib.suppress(BlockingIOError):
            count -= len(os.read(ear, 1 << 16))


def spawns(ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    """Return the seconds that a start takes, in turn.

    Each way follows each other one as often: the kernel is slow right after some ends.
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
    """Count the daemons that cut every tie and outlive the end of their trees."""
    alive = 0
    with TemporaryDirectory() as folder:
        pipe = Path(folder) / "daemon"
        leash = Path(folder) / "leash"
        os.mkfifo(pipe)
        os.mkfifo(leash)
        hand = os.open(leash, os.O_RDWR)
        ear = os.open(pipe, os.O_RDWR)
        for _ in range(rounds):
            tree = way(["/bin/sh", "-c", f"{SCRIPT} <{leash}", str(pipe), str(program), "9"])
            select.select([ear], [], [], PATIENCE)
            (pid,) = struct.unpack("i", os.read(ear, 4))
            descriptor = os.pidfd_open(pid)
            tree.end()
            if not select.select([descriptor], [], [], 0.1)[0]:
                alive += 1
                os.kill(pid, 9)
                select.select([descriptor], [], [], PATIENCE)
            os.close(descriptor)
        os.close(ear)
        os.close(hand)
    return alive


if __name__ == "__main__":
    main()
