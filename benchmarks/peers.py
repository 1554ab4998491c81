"""The killers that are measured, and how the worker of each is started."""

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.toolchain import SOURCES, build, find_npm_prefix

OURS = "ours"
PSUTIL = "psutil"
LOKY = "loky"
TREE_KILL = "tree-kill"
WALK = "C walk"
CGROUP = "cgroup.kill"
PROCESSKIT = "processkit"

WITHOUT_TREE_KILL = (
    "needs node, and after `npm install --prefix DIR tree-kill` PROCTREE_NPM_PREFIX=DIR"
)


@dataclass(frozen=True)
class Peer:
    """A killer: the command line of its worker, and the variables that it needs.

    Attributes:
        contained: whether its trees are planted in the empty cgroup.
        python: whether its worker starts trees, and has threads.
    """

    name: str
    command: tuple[str | Path, ...]
    environment: tuple[tuple[str, str], ...] = ()
    contained: bool = False
    python: bool = False

    @property
    def variables(self) -> dict[str, str]:
        """The whole environment of the worker."""
        return {**os.environ, **dict(self.environment)}


def available(folder: Path, cgroup: Path | None) -> tuple[dict[str, Peer], list[str]]:
    """Return the killers on this machine, ours first, and a sentence for each that is missing.

    Args:
        folder: the folder for the C programs.
        cgroup: an empty cgroup with ``cgroup.kill``, or None.
    """
    missing = []
    peers = [_python(OURS, "ours"), _python(PSUTIL, "psutil_recipe")]
    for name, module in ((LOKY, "loky_tree"), (PROCESSKIT, "processkit_group")):
        if importlib.util.find_spec(name):
            peers.append(_python(name, module))
        else:
            missing.append(f"{name} is not installed")
    prefix, node = find_npm_prefix(), shutil.which("node")
    if prefix and node:
        modules = (("NODE_PATH", str(prefix / "node_modules")),)
        peers.append(Peer(TREE_KILL, (node, SOURCES / "tree_kill.js"), modules))
    else:
        missing.append(f"tree-kill: {WITHOUT_TREE_KILL}")
    walk = build("walk", folder)
    peers.append(Peer(WALK, (walk,)))
    if cgroup:
        peers.append(Peer(CGROUP, (walk, "cgroup"), contained=True))
    else:
        missing.append("cgroup.kill and contained trees: no writable cgroup v2 with cgroup.kill")
    return {peer.name: peer for peer in peers}, missing


def _python(name: str, module: str) -> Peer:
    return Peer(name, (sys.executable, "-m", "benchmarks.worker", module), python=True)
