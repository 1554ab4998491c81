"""Agents for sessions: planted nodes that a manager starts, and owners that die."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proctree_kill import KillPolicy, Session, SessionManager

from .nodes import Node, chain
from .planter import NODE, Planter, Seed, node_argv
from .trees import Tree
from .users import Account

PATIENT = KillPolicy(grace=10.0)
"""For whom leaves when asked: the grace ends when the last one has left."""
HASTY = KillPolicy(grace=0.2)
"""For whom ignores the request."""
FOREVER = KillPolicy(grace=1000.0)
"""For whom never leaves: only force ends the grace."""

POLITE = chain("root", "child")
DEAF = Node(name="root", on_term="ignore", children=(Node(name="child", on_term="ignore"),))


@contextmanager
def options(plant: Planter) -> Iterator[tuple[Seed, dict[str, Any]]]:
    """Prepare what a manager must be given for a planted agent, and the tree that grows from it."""
    with NODE.open("rb") as source, plant.seed() as seed:
        yield seed, {"stdin": source, "pass_fds": seed.fds, "env": seed.env, "cwd": "/"}


def start(
    manager: SessionManager,
    plant: Planter,
    session_id: str,
    node: Node,
    account: Account | None = None,
    **more: Any,
) -> tuple[Session, Tree]:
    """Have a manager start a planted agent; return when everybody in it has spoken."""
    with options(plant) as (seed, given):
        session = manager.spawn_agent(session_id, node_argv(node, account), **given, **more)
    seed.tree.hear(node.names())
    return session, seed.tree


def abandon(
    plant: Planter, folder: Path, session_id: str, node: Node, account: Account | None = None
) -> Tree:
    """Have an owner start a planted agent, and kill the owner; return the tree that it left."""
    with options(plant) as (seed, given):
        argv = node_argv(node, account)
        doomed(lambda: SessionManager(folder, guard=False).spawn_agent(session_id, argv, **given))
    seed.tree.hear(node.names())
    return seed.tree


def doomed(act: Callable[[], object]) -> int:
    """Do something in a fork that is then killed by SIGKILL; return how it ended."""
    pid = os.fork()
    if not pid:
        try:
            act()
        except BaseException:  # noqa: BLE001 - told, for nobody else will
            traceback.print_exc()
            os._exit(1)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def files(folder: Path) -> set[str]:
    """Return the names in a folder, those that are hidden too."""
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
