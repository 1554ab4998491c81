"""The cost of starting and running a contained command: ``python -m benchmarks.spawning``."""

import argparse
import subprocess
import time
from collections.abc import Callable
from statistics import median

from benchmarks.toolchain import describe
from proctree_kill import TreePopen, run

TRUE = ["/bin/true"]
MILLISECONDS = 1000


def main() -> None:
    """Measure in turn, and print the medians."""
    rounds = _parse().rounds
    ways: dict[str, Callable[[], float]] = {
        "Popen": lambda: _spawn(subprocess.Popen),
        "Popen, a session of its own": lambda: _spawn(_popen_in_session),
        "TreePopen, the caller's session": lambda: _spawn(_tree_without_session),
        "TreePopen": lambda: _spawn(TreePopen),
        "subprocess.run": lambda: _time(lambda: subprocess.run(TRUE, check=True)),
        "run": lambda: _time(lambda: run(TRUE, check=True)),
        "subprocess.run, output": lambda: _time(
            lambda: subprocess.run(TRUE, check=True, capture_output=True)
        ),
        "run, output": lambda: _time(lambda: run(TRUE, check=True, capture_output=True)),
    }
    samples: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            samples[name].append(way())
    print(f"{describe()}, {rounds} rounds\n\n| what | median |\n|---|---|")
    for name, seconds in samples.items():
        print(f"| {name} | {median(seconds[1:]) * MILLISECONDS:.2f} ms |")


def _spawn(popen: Callable[[list[str]], subprocess.Popen[bytes]]) -> float:
    """Return the seconds until the caller has the child."""
    begin = time.monotonic()
    process = popen(TRUE)
    seconds = time.monotonic() - begin
    process.wait()
    return seconds


def _popen_in_session(args: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(args, start_new_session=True)


def _tree_without_session(args: list[str]) -> TreePopen[bytes]:
    return TreePopen(args, start_new_session=False)


def _time(act: Callable[[], object]) -> float:
    begin = time.monotonic()
    act()
    return time.monotonic() - begin


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spawning", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="how often each (default: 300)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
