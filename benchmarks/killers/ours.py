"""proctree_kill."""

import subprocess

from proctree_kill import TreePopen, kill_tree

_trees: dict[int, TreePopen[bytes]] = {}


def start(argv: list[str]) -> int:
    """Start a contained tree; return the pid of its root."""
    tree = TreePopen(argv, stdin=subprocess.DEVNULL, containment="kernel")
    _trees[tree.pid] = tree
    return tree.pid


def kill(pid: int, grace: float) -> int:
    """End a tree; return the number of survivors in the result."""
    tree = _trees.pop(pid, None)
    result = tree.stop(grace=grace) if tree else kill_tree(pid, grace=grace)
    return len(result.survivors)
