"""Agents for sessions: planted nodes that a manager starts, and owners that die."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proctree_kill import KillPolicy, Session, SessionManager

from .nodes import Node, chain
from .planter import NODE, Planter
from .times import HASTE, LONG, PATIENCE
from .trees import Tree
from .users import Account

PATIENT = KillPolicy(grace=PATIENCE)
HASTY = KillPolicy(grace=HASTE)
FOREVER = KillPolicy(grace=LONG)  # only force ends this grace

POLITE = chain("root", "child")
STUBBORN = Node(name="root", on_term="ignore", children=(Node(name="child", on_term="ignore"),))


def start(
    manager: SessionManager,
    plant: Planter,
    session_id: str,
    node: Node,
    account: Account | None = None,
    **more: Any,
) -> tuple[Session, Tree]:
    """Have a manager start a planted agent; return when all of its nodes have started."""
    with plant.prepare(node, account) as prepared:
        session = manager.spawn_agent(session_id, prepared.argv, **prepared.options, **more)
    prepared.tree.await_started()
    return session, prepared.tree


def abandon(
    plant: Planter, folder: Path, session_id: str, node: Node, account: Account | None = None
) -> Tree:
    """Have an owner start a planted agent, and kill the owner; return the tree that it left.

    The agent waits for its program until then: its owner would notice an exit, and end the rest.
    """
    reading, writing = os.pipe()
    with plant.prepare(node, account) as prepared:
        options = {**prepared.options, "stdin": reading}
        with os.fdopen(writing, "wb") as program:
            killed_after(
                lambda: SessionManager(folder, guard=False).spawn_agent(
                    session_id, prepared.argv, **options
                )
            )
            program.write(NODE.read_bytes())
        os.close(reading)
    prepared.tree.await_started()
    return prepared.tree


def killed_after(act: Callable[[], object]) -> int:
    """Do something in a fork that is then killed by SIGKILL; return its exit code."""
    pid = os.fork()
    if not pid:
        try:
            act()
        except BaseException:  # noqa: BLE001 - printed here: the fork ends now
            traceback.print_exc()
            os._exit(1)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def files(folder: Path) -> set[str]:
    """Return the names in a folder, the hidden ones too."""
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
