"""Play one process of a tree of a `Planter`, and start those below it.

Run as ``python -I -S - DESCRIPTION < pipe_node.py``.
DESCRIPTION is a dictionary: a `nodes.Node` without its defaults.
PLANT_PIPE names the inherited descriptor to which each node writes once its handlers stand.
PLANT_CGROUP names an open ``cgroup.procs`` that the first node enters before it forks, or -1.
"""

from __future__ import annotations

import os
import signal
import sys
import time

TYPE_CHECKING = False  # importing typing would double the time that a node takes to start
if TYPE_CHECKING:
    from typing import Any, NoReturn

    Description = dict[str, Any]
    Children = dict[int, Description]

LIFETIME = 120  # seconds after which even a forgotten node ends by itself

pipe = int(os.environ["PLANT_PIPE"])
wake: list[int] = []
started: list[int] = []  # a pipe into which each child writes, for a parent that waits for that


def live(node: Description) -> NoReturn:
    """Be this node until something ends it."""
    if node.get("session"):
        os.setsid()
    signal.alarm(LIFETIME)
    wake[:] = open_wake()
    set_handlers(node)
    to_parent = started[1:]
    started[:] = os.pipe() if node.get("dies") else ()
    children = {start(child): child for child in node.get("children", ())}
    await_children(children)
    if node.get("main_thread_ends"):
        end_main_thread(node, to_parent)
    report(node, to_parent)
    if node.get("dies"):
        await_starts(node)
        os._exit(0)
    if node.get("stopped"):
        os.kill(os.getpid(), signal.SIGSTOP)
    stay(node, children)


def open_wake() -> tuple[int, int]:
    """Open the pipe into which each signal that has a handler here leaves a byte."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for fd in wake:  # those of the parent
        os.close(fd)
    return reading, writing


def set_handlers(node: Description) -> None:
    """Install what SIGTERM and SIGCHLD do here."""
    exit_code = node.get("exit_code", 0)

    def leave(_signal: int, _frame: object) -> NoReturn:
        os._exit(exit_code)

    def leave_a_child(_signal: int, _frame: object) -> NoReturn:
        start({"silent": True})
        os._exit(exit_code)

    actions: dict[str, Any] = {
        "die": signal.SIG_DFL,
        "ignore": signal.SIG_IGN,
        "exit": leave,
        "fork": leave_a_child,
    }
    signal.signal(signal.SIGTERM, actions[node.get("on_term", "die")])
    disowns = node.get("disowns")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN if disowns else lambda *_: None)


def start(node: Description) -> int:
    """Fork a child that plays ``node``, and return its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        live(node)
    finally:
        os._exit(1)


def await_children(children: Children) -> None:
    """Wait until each child that dies or stops has done so."""
    for pid, child in list(children.items()):
        if child.get("stopped"):
            os.waitpid(pid, os.WUNTRACED)
        if child.get("dies"):
            os.waitpid(pid, 0)
            children.pop(pid)


def await_starts(node: Description) -> None:
    """Wait until each child has reported; one that was killed before holds no pipe any more."""
    reading, writing = started
    os.close(writing)
    for _ in node.get("children", ()):
        os.read(reading, 1)


def report(node: Description, to_parent: list[int]) -> None:
    """Write to the planter: name, pid and start ticks, 0 without ``/proc``; tell the parent."""
    if node.get("silent"):
        return
    stat = read_stat()
    start = int(stat.rpartition(b")")[2].split()[19]) if stat else 0
    os.write(pipe, f"{node['name']} {os.getpid()} {start}\n".encode())
    for fd in to_parent:
        os.write(fd, b"!")


def read_stat() -> bytes:
    """Return the stat line of this process (proc_pid_stat(5)); nothing without ``/proc``."""
    try:
        stat = os.open(f"/proc/{os.getpid()}/stat", os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        return os.read(stat, 4096)
    finally:
        os.close(stat)


def end_main_thread(node: Description, to_parent: list[int]) -> None:
    """End the main thread, and let another thread go on as the process."""
    import _thread  # noqa: PLC0415 - few nodes need it
    import ctypes  # noqa: PLC0415 - few nodes need it

    def go_on() -> None:
        while b") Z " not in read_stat():
            os.sched_yield()
        report(node, to_parent)
        signal.pause()

    _thread.start_new_thread(go_on, ())
    ctypes.CDLL(None).pthread_exit(None)


def stay(node: Description, children: Children) -> NoReturn:
    """Fork, reap and restart as described, and wait for signals.

    Each signal leaves a byte in a pipe: a signal just before a ``pause()`` would be lost.
    """
    interval = node.get("forks_every")
    while interval:
        time.sleep(interval)
        reap_the_dead(node, children)
        if len(children) < node["at_most"]:
            children[start({"silent": True})] = {}
    while True:
        if node.get("reaps", True) and not node.get("disowns"):
            reap_the_dead(node, children)
        os.read(wake[0], 1)


def reap_the_dead(node: Description, children: Children) -> None:
    """Reap each child that has died, without waiting, and restart it if that is described."""
    while children:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        child = children.pop(pid)
        if node.get("restarts"):
            children[start({**child, "silent": True})] = child


def enter(procs: int) -> None:
    """Move into the cgroup whose ``cgroup.procs`` is open here."""
    if procs >= 0:
        os.write(procs, b"0")
        os.close(procs)


enter(int(os.environ["PLANT_CGROUP"]))
live(eval(sys.argv[1]))  # noqa: S307 - the planter wrote it; importing json would double our start
