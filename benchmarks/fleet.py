"""A fleet on one machine: what it adds to a local manager, and many sessions at once.

``python -m benchmarks.fleet`` needs distributed (the extra ``fleet``).
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

from distributed import Client, LocalCluster

from proctree_kill import SessionManager
from proctree_kill.fleet import Fleet

SLEEP = ["sleep", "1000"]
DEADLINE = 60.0  # seconds; a busy machine is no unreachable one
Figures = dict[str, list[float]]


async def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=3, help="worker processes")
    parser.add_argument("--rounds", type=int, default=60, help="calls that are timed, each kind")
    parser.add_argument("--sessions", type=int, default=300, help="sessions at once")
    parser.add_argument("--times", type=int, default=3, help="turns with all sessions at once")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="proctree-benchmarks-") as name:
        async with (
            LocalCluster(
                n_workers=options.workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                asynchronous=True,
            ) as cluster,
            Client(cluster, asynchronous=True) as client,
            SessionManager(Path(name, "local")) as manager,
        ):
            await client.wait_for_workers(options.workers)
            fleet = Fleet(client, Path(name, "fleet"), deadline=DEADLINE)
            figures = await _single(client, fleet, manager, options.rounds)
            figures |= await _many(fleet, options.sessions, options.times)
    for what, seconds in figures.items():
        low, middle, high = (1000 * value for value in quantiles(seconds, n=4))
        print(f"{what:<40}{middle:9.1f} ms   (middle half {low:.1f} to {high:.1f})")


async def _single(client: Any, fleet: Fleet, manager: SessionManager, rounds: int) -> Figures:  # noqa: ANN401 - distributed is typed in part
    """Time single calls, interleaved, after one of each that is not counted."""
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "no-op of distributed": lambda: client.run(int, workers=[worker]),
        "fleet: sessions": fleet.asessions,
        "local: spawn": lambda: manager.aspawn_agent("a", SLEEP),
        "fleet: spawn": lambda: fleet.aspawn_agent("a", SLEEP),
        "local: stop": lambda: manager.astop_agent("a"),
        "fleet: stop": lambda: fleet.astop_agent("a"),
    }
    worker = (await fleet.aspawn_agent("first", SLEEP)).worker
    await fleet.astop_agent("first")
    figures: Figures = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            seconds = await _timed(call())
            if turn:
                figures[name].append(seconds)
    return figures


async def _many(fleet: Fleet, sessions: int, times: int) -> Figures:
    """Time the start and the stop of many sessions at once."""
    figures: Figures = {}
    for _ in range(times):
        spawns = [fleet.aspawn_agent(f"s{number}", SLEEP) for number in range(sessions)]
        found = {
            f"fleet: {sessions} spawns at once": await _timed(asyncio.gather(*spawns)),
            f"fleet: sessions, {sessions} of them": await _timed(fleet.asessions()),
            f"fleet: stop of all {sessions}": await _timed(fleet.astop_all()),
        }
        for name, seconds in found.items():
            figures.setdefault(name, []).append(seconds)
    return figures


async def _timed(work: Awaitable[object]) -> float:
    start = time.perf_counter()
    await work
    return time.perf_counter() - start


if __name__ == "__main__":
    asyncio.run(main())
