"""The ways into a cgroup at the start: which processes escape, and what it costs.

``python -m benchmarks.entering`` needs a C compiler and a writable cgroup (version 2).
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

from proctree_kill._systems.linux.cgroup import TreeCgroup

from .toolchain import build

Popen = subprocess.Popen[bytes]
Spawn = Callable[..., Popen]
SHELL = 'echo 0 >"$0" && exec "$@"'
MEGABYTE = 1 << 20


def plain(_: TreeCgroup | None, argv: list[str], **options: object) -> Popen:
    """Use no cgroup."""
    return subprocess.Popen(argv, **options)  # type: ignore[call-overload,no-any-return] # options of Popen


def moved(cgroup: TreeCgroup, argv: list[str], **options: object) -> Popen:
    """Spawn, move the root, then move its descendants."""
    process = plain(cgroup, argv, **options)
    pids = [process.pid]
    while pids:
        pid = pids.pop()
        with contextlib.suppress(OSError):
            cgroup.adopt(pid)
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
            pids += map(int, children.split())
    return process


def preexec(cgroup: TreeCgroup, argv: list[str], **options: object) -> Popen:
    """Let the forked child enter the cgroup before it runs the program."""
    fd = os.open(f"{cgroup.name}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    try:
        return plain(cgroup, argv, preexec_fn=lambda: os.write(fd, b"0"), **options)
    finally:
        os.close(fd)


def shell(cgroup: TreeCgroup, argv: list[str], **options: object) -> Popen:
    """Let a shell enter the cgroup and become the program."""
    return plain(cgroup, ["/bin/sh", "-c", SHELL, f"{cgroup.name}/cgroup.procs", *argv], **options)


def entry(cgroup: TreeCgroup, argv: list[str], **options: object) -> Popen:
    """Spawn from a thread in a threaded cgroup, then move what is in there: our way."""
    with cgroup.spawning(lambda act: act()):
        return plain(cgroup, argv, **options)


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
    """Keep the processors busy within the block."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def escapes(spawn: Spawn, program: Path, spawns: int) -> int:
    """Count the daemons that are not in the cgroup after the spawn of their root."""
    return sum(_escapes(spawn, program) for _ in range(spawns))


def threaded(spawn: Spawn, program: Path, threads: int, spawns: int) -> int:
    """Count the same while many threads spawn at once."""
    counts: list[int] = []
    spawners = [
        threading.Thread(target=lambda: counts.append(escapes(spawn, program, spawns)))
        for _ in range(threads)
    ]
    for thread in spawners:
        thread.start()
    for thread in spawners:
        thread.join()
    return sum(counts)


def _escapes(spawn: Spawn, program: Path) -> bool:
    """Spawn a daemon; return whether it is outside the cgroup."""
    cgroup = TreeCgroup.make()
    stdin, stdin_end = os.pipe()
    reader, writer = os.pipe()
    try:
        process = spawn(cgroup, [str(program), str(writer)], stdin=stdin, pass_fds=[writer])
        os.close(writer)
        (pid,) = struct.unpack("i", os.read(reader, 4))
        inside = pid in cgroup.pids()
        process.wait()
    finally:
        for fd in (stdin, stdin_end):
            os.close(fd)
    os.read(reader, 1)  # the end of the daemon
    os.close(reader)
    while not cgroup.remove():
        time.sleep(0.001)
    return not inside


def costs(rounds: int) -> dict[str, float]:
    """Return the medians in milliseconds, measured in turn, with a new cgroup each time."""
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            begin = time.perf_counter()
            cgroup = TreeCgroup.make() if name != "no cgroup" else None
            process = way(cgroup, ["/bin/cat"], stdin=subprocess.PIPE)
            taken[name].append(time.perf_counter() - begin)
            process.communicate()
            while cgroup is not None and not cgroup.remove():
                time.sleep(0.001)
    return {name: median(seconds) * 1000 for name, seconds in taken.items()}


if __name__ == "__main__":
    main()
