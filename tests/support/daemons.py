"""Trees with a daemon: it has a name and a marker of its own, and has left the session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil

from proctree_kill import TreePopen

from .planter import Planter
from .servers import script
from .trees import Tree

MARKER = "PLANTED_DAEMON=1"
REPORT = """\
import os, signal
with open("/proc/self/stat", "rb") as stat:
    start = int(stat.read().rpartition(b")")[2].split()[19])
os.write(int(os.environ["PLANT_PIPE"]), b"daemon %d %d\\n" % (os.getpid(), start))
signal.pause()
"""


def command(folder: Path, name: str = "planted-daemon", marker: str = MARKER) -> list[str]:
    """Return the command of a root that starts a daemon of this name and stays."""
    daemon = script(folder, name, REPORT)
    return ["sh", "-c", f'{marker} setsid "$0" & wait', daemon]


def contained(plant: Planter, argv: list[str], **options: Any) -> tuple[TreePopen[bytes], Tree]:
    """Start a root with a daemon by TreePopen; return when the daemon has started."""
    with plant.prepare() as prepared:
        process = TreePopen(argv, **{**prepared.options, **options})
        prepared.tree.root = process
    prepared.tree.await_started("daemon")
    return process, prepared.tree


def daemon_lives(tree: Tree) -> bool:
    """Whether the daemon of a tree lives."""
    try:
        return tree.state("daemon") != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
