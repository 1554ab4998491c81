"""proctree_kill."""

from proctree_kill import kill_tree


def kill(pid: int, grace: float) -> int:
    """End a tree; return the number of survivors in the result."""
    return len(kill_tree(pid, grace=grace).survivors)
