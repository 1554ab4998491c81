"""proctree_kill: one call, and its own report."""

from proctree_kill import kill_tree


def kill(pid: int, grace: float) -> int:
    """End a tree and count the survivors in the result."""
    return len(kill_tree(pid, grace=grace).survivors)
