"""Sessions that are started and stopped from many threads at once."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

from proctree_kill import SessionManager

THREADS = 16
STUBBORN = "trap '' TERM; sleep 1000 & echo stubborn; wait; wait"


def churn(manager: SessionManager, count: int) -> None:
    """Start and stop so many sessions, named by their numbers; all must succeed."""

    def work(name: str) -> str | None:
        session = manager.spawn_agent(name, ["sh", "-c", "sleep 1000 & wait"])
        result = manager.stop_agent(name)
        return None if result.success and session.exit_code is not None else result.message

    with ThreadPoolExecutor(THREADS) as pool:
        failures = [message for message in pool.map(work, map(str, range(count))) if message]
    assert failures == []


def hang(manager: SessionManager, count: int) -> list[str]:
    """Start so many sessions that ignore the request; return their ids when all do."""
    names = [f"hung-{number}" for number in range(count)]
    for name in names:
        session = manager.spawn_agent(name, ["sh", "-c", STUBBORN], stdout=subprocess.PIPE)
        assert session.process.stdout
        with session.process.stdout as said:
            assert said.readline() == b"stubborn\n"
    return names
