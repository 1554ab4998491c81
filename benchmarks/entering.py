"""The ways into a cgroup at birth: who escapes, and what it costs.

``python -m benchmarks.entering`` needs a C compiler and a cgroup (version 2) that may be written.
"""

import argparse
import contextlib
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from proctree_kill._systems.linux.cgroup import Leaf

from .toolchain import build

Popen = subprocess.Popen[bytes]
Spawn = Callable[..., Popen]
SHELL = 'echo 0 >"$0" && exec "$@"'
MEGABYTE = 1 << 20


def plain(_: Leaf | None, argv: list[str], **options: object) -> Popen:
    """Use no cgroup at all."""
    return subprocess.Popen(argv, **options)  # type: ignore[call-overload,no-any-return] # whatever Popen takes


def moved(leaf: Leaf, argv: list[str], **options: object) -> Popen:
    """Spawn, move the root, then move whoever is below it."""
    process = plain(leaf, argv, **options)
    pids = [process.pid]
    while pids:
        pid = pids.pop()
        with contextlib.suppress(OSError):
            leaf.adopt(pid)
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
            pids += map(int, children.split())
    return process


def preexec(leaf: Leaf, argv: list[str], **options: object) -> Popen:
    """Have the forked child write itself into the cgroup, before it runs the program."""
    fd = os.open(f"{leaf.name}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    try:
        return plain(leaf, argv, preexec_fn=lambda: os.write(fd, b"0"), **options)
    finally:
        os.close(fd)


def shell(leaf: Leaf, argv: list[str], **options: object) -> Popen:
    """Have a shell write itself into the cgroup and become the program."""
    return plain(leaf, ["/bin/sh", "-c", SHELL, f"{leaf.name}/cgroup.procs", *argv], **options)


def entry(leaf: Leaf, argv: list[str], **options: object) -> Popen:
    """Spawn from a thread inside a threaded cgroup, then move whoever is in there: our way."""
    with leaf.spawning(lambda act: act()):
        return plain(leaf, argv, **options)


WAYS: dict[str, Spawn] = {
    "no cgroup": plain,
    "moved after the spawn": moved,
    "preexec_fn": preexec,
    "shell": shell,
    "entry": entry,
}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spawns", type=int, default=1000, help="spawns of a daemon, each way")
    parser.add_argument("--rounds", type=int, default=100, help="spawns that are timed, each way")
    parser.add_argument("--threads", type=int, default=16, help="threads that spawn at once")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        program = build("escapist", Path(folder))
        with busy_loops(os.cpu_count() or 1):
            escaped = {
                name: escapes(way, program, options.spawns)
                for name, way in WAYS.items()
                if name != "no cgroup"
            }
        crowd = {
            name: threaded(way, program, options.threads, options.spawns // options.threads)
            for name, way in WAYS.items()
            if name != "no cgroup"
        }
    small = costs(options.rounds)
    ballast = bytearray(os.urandom(MEGABYTE)) * 500
    large = costs(options.rounds)
    del ballast
    crowded = f"with {options.threads} threads"
    print(f"| way | escaped of {options.spawns:,} | {crowded} | ms | ms, 500 MB |")
    print("|---|---|---|---|---|")
    for name in WAYS:
        counts = f"{escaped.get(name, '')} | {crowd.get(name, '')}"
        print(f"| {name} | {counts} | {small[name]:.2f} | {large[name]:.2f} |")


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Keep the processors busy for a while."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in loops:
            one.kill()
            one.wait()


def escapes(spawn: Spawn, program: Path, spawns: int) -> int:
    """Count the daemons that were not in the cgroup when their root had been spawned."""
    return sum(_escapes(spawn, program) for _ in range(spawns))


def threaded(spawn: Spawn, program: Path, threads: int, spawns: int) -> int:
    """Count the same where many threads spawn at once."""
    counts: list[int] = []
    crowd = [
        threading.Thread(target=lambda: counts.append(escapes(spawn, program, spawns)))
        for _ in range(threads)
    ]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    return sum(counts)


def _escapes(spawn: Spawn, program: Path) -> bool:
    """Spawn one daemon, look where it is, and let it leave."""
    leaf = Leaf.make()
    leash, hand = os.pipe()
    ear, voice = os.pipe()
    try:
        process = spawn(leaf, [str(program), str(voice)], stdin=leash, pass_fds=[voice])
        os.close(voice)
        (pid,) = struct.unpack("i", os.read(ear, 4))
        inside = pid in leaf.pids()
        process.wait()
    finally:
        for fd in (leash, hand):
            os.close(fd)
    os.read(ear, 1)  # the end of the daemon
    os.close(ear)
    while not leaf.remove():
        time.sleep(0.001)
    return not inside


def costs(rounds: int) -> dict[str, float]:
    """Return the medians in milliseconds, taken in turn, with a cgroup made and removed."""
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            begin = time.perf_counter()
            leaf = Leaf.make() if name != "no cgroup" else None
            process = way(leaf, ["/bin/cat"], stdin=subprocess.PIPE)
            taken[name].append(time.perf_counter() - begin)
            process.communicate()
            while leaf is not None and not leaf.remove():
                time.sleep(0.001)
    return {name: median(some) * 1000 for name, some in taken.items()}


if __name__ == "__main__":
    main()
