"""The kills, stops and starts in which a system call fails or a bytecode is interrupted."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, TypeVar

from proctree_kill import (
    KillPolicy,
    Session,
    SessionEvent,
    SessionManager,
    StopResult,
    TreePopen,
    kill_tree,
    recover,
)
from proctree_kill._records.report import RecordFate

from .callers import apart
from .faults import ERRORS, Calls, Opcodes, Scene, run

Root = TypeVar("Root", bound="subprocess.Popen[bytes]")

FAMILY = ["sh", "-c", "trap '' TERM; sleep 1000 & setsid sleep 1000 & echo; wait"]
FORCE = KillPolicy(grace=0, settle=5)


def plain(_: Path) -> subprocess.Popen[bytes]:
    """Start a family by Popen, and wait until all of it lives."""
    return _when_ready(subprocess.Popen(FAMILY, stdout=subprocess.PIPE, start_new_session=True))


def contained(_: Path, **options: Any) -> TreePopen[bytes]:
    """Start a family by TreePopen."""
    return _when_ready(TreePopen(FAMILY, stdout=subprocess.PIPE, **options))


def _when_ready(root: Root) -> Root:
    assert root.stdout
    root.stdout.readline()
    root.stdout.close()
    return root


def managed(folder: Path) -> SessionManager:
    return SessionManager(folder, policy=FORCE)


def started(folder: Path) -> SessionManager:
    manager = managed(folder)
    process = manager.spawn_agent("a", FAMILY, stdout=subprocess.PIPE).process
    _when_ready(process)
    return manager


class Leaving(NamedTuple):
    """An agent that leaves by itself, and leaves processes behind.

    Args:
        session: its session; it leaves when its input ends.
        noticed: set when what follows its exit has been done.
    """

    session: Session[TreePopen[bytes]]
    noticed: threading.Event


def leaving(folder: Path) -> Leaving:
    """Start such an agent."""
    noticed = threading.Event()

    def note(event: SessionEvent) -> None:
        if event.event.endswith((".exited", ".stop_failed")):
            noticed.set()

    manager = SessionManager(folder, policy=FORCE, event_broadcaster=note)
    command = [*FAMILY[:2], FAMILY[2].replace("wait", "read x")]
    session = manager.spawn_agent("a", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    _when_ready(session.process)
    return Leaving(session, noticed)


def _leave(agent: Leaving) -> StopResult | None:
    """Have the agent leave, and wait until that has been noticed."""
    assert agent.session.process.stdin
    agent.session.process.stdin.close()
    agent.noticed.wait()
    return agent.session.result


def abandoned(folder: Path) -> Path:
    """Start a tree whose owner is dead."""

    def start() -> None:
        contained(folder, record=folder / "session_a.pid")

    apart(start)
    return folder


def _recover(folder: Path) -> SimpleNamespace:
    """Recover a record; it is said to be dead where the tree was ended."""
    (outcome,) = recover(folder, policy=FORCE).outcomes
    return SimpleNamespace(ok=outcome.fate in (RecordFate.ENDED, RecordFate.GONE))


def started_in(containment: Literal["auto", "session", "kernel"], **options: Any) -> Scene:
    """Start a tree by TreePopen, with a record if that is among the options."""

    def act(folder: Path) -> TreePopen[bytes]:
        if "record" in options:
            options["record"] = folder / "session_a.pid"
        return TreePopen(FAMILY, containment=containment, **options)

    return Scene(lambda folder: folder, act, starts=True, end=lambda tree: tree.stop(grace=0))


def _spawn_agent(manager: SessionManager) -> SessionManager:
    manager.spawn_agent("a", FAMILY)
    return manager


KILLS = {
    "kill_tree of a number": Scene(plain, lambda root: kill_tree(root.pid, grace=0)),
    "kill_tree that asks": Scene(plain, lambda root: kill_tree(root, grace=0.05)),
    "kill_tree in a cgroup": Scene(contained, lambda tree: kill_tree(tree, grace=0)),
    "stop": Scene(
        lambda folder: contained(folder, record=folder / "session_a.pid", kill_on_parent_exit=True),
        lambda tree: tree.stop(grace=0),
    ),
    "stop_agent": Scene(started, lambda manager: manager.stop_agent("a")),
    "exit": Scene(leaving, _leave),
    "recover": Scene(abandoned, _recover),
}
STARTS = {
    "session": started_in("session"),
    "kernel": started_in("kernel"),
    "record": started_in("auto", record=True),
    "guard": started_in("auto", kill_on_parent_exit=True),
    "spawn_agent": Scene(
        managed, _spawn_agent, starts=True, end=lambda manager: manager.stop_all()
    ),
}


def failing(scene: Scene, folder: Path, count: int | None) -> list[str]:
    """Let so many calls of a scene fail, or each; return the promises that break.

    Calls are alike if the same lines of the library led there: the first and the last of alike
    ones fail. Few are spread over all, and the errors are taken in turn.
    """
    whole = run(scene, _new(folder), lambda: Calls(None, 0))
    numbered = list(enumerate(whole.calls))
    first = {call: number for number, call in reversed(numbered)}
    last = {call: number for number, call in numbered}
    positions = _spread(sorted({*first.values(), *last.values()}), count)
    found = whole.faults if positions else ["no call was seen"]
    for position, error in zip(positions, cycle(ERRORS), strict=False):
        case = run(scene, _new(folder), partial(Calls, position, error))
        found += [f"{position}, {error}, {case.hit}: {fault}; {case.said}" for fault in case.faults]
    return found


def interrupted(scene: Scene, folder: Path, count: int | None) -> list[str]:
    """Interrupt a scene after so many of its bytecodes, or after each; return what broke."""
    whole = run(scene, _new(folder), lambda: Opcodes(None))
    positions = _spread(range(len(whole.calls)), count)
    found = whole.faults if positions else ["no bytecode was seen"]
    for position in positions:
        case = run(scene, _new(folder), partial(Opcodes, position))
        found += [f"{position}, {case.hit}: {fault}; {case.said}" for fault in case.faults]
    return found


def _spread(positions: Sequence[int], count: int | None) -> Sequence[int]:
    return positions if count is None else positions[:: max(len(positions) // count, 1)]


def _new(folder: Path) -> Path:
    new = folder / str(len(list(folder.iterdir())))
    new.mkdir()
    return new
