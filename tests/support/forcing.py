"""The force of a kill that begins with an event, where fates depend on when it begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from proctree_kill import KillEvent, KillResult
from proctree_kill._engine import plan
from proctree_kill._engine.killing import Killing
from proctree_kill._engine.request import Request

from .times import HASTE


@contextmanager
def forced_after(pids: Iterable[int]) -> Iterator[None]:
    """Let the force begin when the last of these has gone; give the kill a long grace.

    A short grace may be over before they have left. What waits for a parent is asked as early as
    with a short one. It holds for forks too.
    """
    awaited = {*pids}
    run = Killing.run

    def run_with_haste(killing: Killing) -> KillResult:
        def listen(event: KillEvent) -> None:
            if event.kind == "gone" and event.identity:
                awaited.discard(event.identity.pid)
            if not awaited:
                killing.hurry()

        killing._listener = listen
        return run(killing)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Killing, "run", run_with_haste)
        patch.setattr(plan, "Request", _EarlyRequest)
        yield


class _EarlyRequest(Request):
    """A request whose middle comes early."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.middle = arguments[3] + HASTE / 2
