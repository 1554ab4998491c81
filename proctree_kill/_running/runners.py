"""Where coroutines of foreign code run when a thread of ours calls: asyncio, trio, or neither."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Runner = Callable[[Awaitable[Any]], object]
"""Has something awaitable awaited, and waits for that."""

LOOK = 1.0
"""Seconds after which it is looked whether an event loop is still there."""


def runner_here() -> Runner | None:
    """Return what awaits on the event loop that runs in this thread; None where there is none."""
    if (asyncio := sys.modules.get("asyncio")) is not None:
        with contextlib.suppress(RuntimeError):  # no loop runs here
            loop = asyncio.get_running_loop()
            return lambda told: _on_asyncio(told, loop)
    if "trio" in sys.modules and "anyio" in sys.modules:
        return _runner_on_anyio()
    return None


def _runner_on_anyio() -> Runner | None:
    """Return what awaits on anyio's loop."""
    import anyio.from_thread  # noqa: PLC0415 - an extra; only trio's users have it
    import anyio.lowlevel  # noqa: PLC0415 - as above

    try:
        token = anyio.lowlevel.current_token()
    except RuntimeError:
        return None
    return lambda told: anyio.from_thread.run(_awaited, told, token=token)


def _on_asyncio(told: Awaitable[Any], loop: Any) -> None:  # noqa: ANN401 - asyncio may not be there
    """Have it awaited on a loop, for as long as that runs."""
    import asyncio  # noqa: PLC0415 - there is a loop, so it was imported

    waiting = _awaited(told)
    try:
        future = asyncio.run_coroutine_threadsafe(waiting, loop)
    except RuntimeError:  # the loop is closed
        waiting.close()
        _dispose(told)
        raise
    while True:
        try:
            future.result(LOOK)
        except TimeoutError:
            if future.done():  # its own
                raise
            if loop.is_closed():
                waiting.close()  # a loop that is closed never begins what waits in it
                _dispose(told)
                return
        else:
            return


def in_a_loop_of_its_own(told: Awaitable[Any]) -> None:
    """Have it awaited where the manager was entered without a loop."""
    import asyncio  # noqa: PLC0415 - few need it

    asyncio.run(_awaited(told))


def _dispose(told: Awaitable[Any]) -> None:
    """Close a coroutine that nobody will await, which Python would complain about."""
    close = getattr(told, "close", None)
    if callable(close):
        close()


async def _awaited(told: Awaitable[Any]) -> None:
    """Await it."""
    await told
