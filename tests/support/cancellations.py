"""Sessions on an event loop that are cancelled at random moments."""

from __future__ import annotations

import os
import random
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from proctree_kill import Session, SessionManager

from .agents import FOREVER, files
from .times import BOUND

# A shell, a child and a daemon's session; the first two ignore the request.
STUBBORN = "trap '' TERM; (trap '' TERM; exec sleep 1000) & setsid sleep 1000 & wait; wait"
LONGEST = 0.05  # seconds; a start and a stop by force take less


def cancel_at_random(loop: Callable[..., Any], folder: Path, chance: random.Random) -> None:
    """Start and stop a session, cancel that at some moment, and see that no process is left.

    Args:
        loop: runs a coroutine function.
        folder: where its record is.
        chance: chooses the moment.
    """

    async def hang(_: Session) -> None:
        await anyio.sleep_forever()

    reading, writing = os.pipe()
    hook = chance.choice([None, hang])
    moment = chance.uniform(0, LONGEST)

    async def scene() -> None:
        manager = SessionManager(folder, policy=FOREVER)
        with anyio.move_on_after(moment):
            command = ["sh", "-c", STUBBORN]
            await manager.aspawn_agent("a", command, shutdown=hook, pass_fds=[writing])
            await manager.astop_agent("a")
        with anyio.move_on_after(0):
            await manager.astop_all()
        assert dict(manager.sessions) == {}

    try:
        loop(scene)
    finally:
        os.close(writing)
        ended = select.select([reading], [], [], BOUND)[0]
        os.close(reading)
    assert ended, f"a process was left by a cancellation after {moment} seconds"
    assert files(folder) == set()
