"""processkit-py: a ``ProcessGroup``, a cgroup if it can. It ends only what it started."""

from typing import Any

import processkit

_groups: dict[int, Any] = {}


def start(argv: list[str]) -> int:
    """Start a contained tree; return the pid of its root."""
    group = processkit.ProcessGroup()
    command = processkit.Command(argv[0], argv[1:]).stdout("null").stderr("null")
    root: Any = group.start(command)
    pid: int = root.pid
    _groups[pid] = group, root  # the root dies with its object
    return pid


def kill(pid: int, grace: float) -> int:
    """End a tree by force. processkit reports no process."""
    del grace
    group, _ = _groups.pop(pid)
    group.kill_all()
    group.shutdown()
    return 0
