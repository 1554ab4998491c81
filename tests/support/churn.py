"""Sessions that are started and stopped from many threads at once."""

from __future__ import annotations

import itertools
import subprocess
import threading

from proctree_kill import SessionManager

THREADS = 16
STUBBORN = "trap '' TERM; sleep 1000 & echo stubborn; wait; wait"
BOUND = 120.0  # seconds after which something that should have happened counts as a failure


def churn(manager: SessionManager, count: int) -> None:
    """Start and stop so many sessions, named by their numbers; all must succeed."""
    numbers, failures = itertools.count(), []

    def work() -> None:
        while (number := next(numbers)) < count:
            name = str(number)
            session = manager.spawn_agent(name, ["sh", "-c", "sleep 1000 & wait"])
            result = manager.stop_agent(name)
            if not result.success or session.exit_code is None:
                failures.append((name, result.message))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    assert failures == []


def hang(manager: SessionManager, count: int) -> None:
    """Start so many sessions that ignore the request, ``hung-0`` and on; return when all do."""
    for number in range(count):
        session = manager.spawn_agent(
            f"hung-{number}", ["sh", "-c", STUBBORN], stdout=subprocess.PIPE
        )
        assert session.process
        assert session.process.stdout
        with session.process.stdout as said:
            assert said.readline() == b"stubborn\n"
