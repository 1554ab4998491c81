"""Stops of sessions that fail."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from proctree_kill import Fate, KillResult, ProcessOutcome, TreePopen
from proctree_kill._engine.killing import Hurry


def fail_once(monkeypatch: pytest.MonkeyPatch, answer: Callable[[Any], KillResult]) -> None:
    """Replace the next kill of a session."""
    kill = Hurry.kill

    def failing(_: Hurry, target: TreePopen[Any], *__: object) -> KillResult:
        monkeypatch.setattr(Hurry, "kill", kill)
        return answer(target)

    monkeypatch.setattr(Hurry, "kill", failing)


def survivor(target: TreePopen[Any]) -> KillResult:
    """Report that the root lives."""
    outcome = ProcessOutcome(
        identity=target.identity, name="sleep", fate=Fate.SURVIVED, signals=("SIGKILL",)
    )
    return KillResult(target=(target.identity,), outcomes=(outcome,), seconds=0.0, verified=())


def refuse_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the watcher start no thread for a stop."""
    start_thread = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        caller = threading.current_thread().name
        if (caller, thread.name) == ("proctree_kill watch", "proctree_kill stop"):
            text = "can't start new thread"
            raise RuntimeError(text)
        start_thread(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
