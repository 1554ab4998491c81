"""A cluster, or a part of it, that prints its address and ends with its standard input.

``python fleet_cluster.py cluster WORKERS`` | ``scheduler [PORT]`` | ``worker ADDRESS``
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable

from distributed import LocalCluster, Scheduler, Worker

HOST = "127.0.0.1"


def cluster(workers: str) -> None:
    """Run a scheduler, and worker processes each of which is restarted when it dies."""
    with LocalCluster(
        n_workers=int(workers),
        threads_per_worker=1,
        processes=True,
        host=HOST,
        dashboard_address=None,
        silence_logs="CRITICAL",
    ) as started:
        say(started.scheduler_address)
        sys.stdin.read()


def scheduler(port: str = "0") -> None:
    """Run a scheduler alone, at any port or at a given one."""

    async def main() -> None:
        async with Scheduler(host=HOST, port=int(port), dashboard=False) as started:
            say(started.address)
            await input_end()

    asyncio.run(main())


def worker(address: str) -> None:
    """Run a worker without a nanny: this process ends as well when its scheduler is lost."""

    async def main() -> None:
        async with Worker(address, nthreads=1, dashboard=False) as started:
            say(started.address)
            ends = {asyncio.ensure_future(end) for end in (started.finished(), input_end())}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)

    asyncio.run(main())


async def input_end() -> None:
    """Wait for the end of the standard input, in a thread that holds up no exit."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        while os.read(0, 1):
            pass
        with contextlib.suppress(RuntimeError):  # the loop is closed: the scheduler was lost
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=read, daemon=True).start()
    await ended.wait()


def say(address: str) -> None:
    print(address, flush=True)  # noqa: T201 - read by the test


ROLES: dict[str, Callable[..., None]] = {
    "cluster": cluster,
    "scheduler": scheduler,
    "worker": worker,
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
