"""The recipe in the documentation of psutil.

Source: https://psutil.readthedocs.io, recipes "Kill process tree" and "Terminate my children".
"""

import contextlib

import psutil

SETTLE = 5.0  # seconds: our default wait after force


def kill(pid: int, grace: float) -> int:
    """Find the descendants, ask, wait, force the rest. Without a grace, force at once."""
    root = psutil.Process(pid)
    tree = [*root.children(recursive=True), root]
    if grace == 0:
        _each(tree, "kill")
        return len(psutil.wait_procs(tree, timeout=SETTLE)[1])
    _each(tree, "terminate")
    alive = psutil.wait_procs(tree, timeout=grace)[1]
    _each(alive, "kill")
    return len(alive)


def _each(processes: list[psutil.Process], method: str) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            getattr(process, method)()
