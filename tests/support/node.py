"""Play one process of a planted tree, and start those below it.

Run as ``python -I -S - DESCRIPTION < node.py``.
DESCRIPTION is a dictionary: a `nodes.Node` without its defaults.
PLANT_VOICE names the inherited descriptor on which each node speaks once its handlers stand.
PLANT_LEAF names an open ``cgroup.procs`` that the first node enters before it forks, or -1.
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

LIFETIME = 120
"""Seconds after which even a forgotten node ends by itself."""

voice = int(os.environ["PLANT_VOICE"])
wake: list[int] = []


def live(node: Description) -> NoReturn:
    """Be this node until something ends it."""
    if node.get("session"):
        os.setsid()
    signal.alarm(LIFETIME)
    wake[:] = open_wake()
    listen(node)
    children = {start(child): child for child in node.get("children", ())}
    settle(children)
    if node.get("main_thread_ends"):
        end_main_thread(node)
    speak(node)
    if node.get("dies"):
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


def listen(node: Description) -> None:
    """Install what SIGTERM does here."""
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


def settle(children: Children) -> None:
    """Wait until each child that dies or stops has done so."""
    for pid, child in list(children.items()):
        if child.get("stopped"):
            os.waitpid(pid, os.WUNTRACED)
        if child.get("dies"):
            os.waitpid(pid, 0)
            children.pop(pid)


def speak(node: Description) -> None:
    """Tell the planter who this is: name, pid and start ticks, 0 without ``/proc``."""
    if node.get("silent"):
        return
    stat = read_stat()
    start = int(stat.rpartition(b")")[2].split()[19]) if stat else 0
    os.write(voice, f"{node['name']} {os.getpid()} {start}\n".encode())


def read_stat() -> bytes:
    """Return what the kernel says of this process, if it does (proc_pid_stat(5))."""
    try:
        stat = os.open(f"/proc/{os.getpid()}/stat", os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        return os.read(stat, 4096)
    finally:
        os.close(stat)


def end_main_thread(node: Description) -> None:
    """End the main thread, and let another one go on as the process."""
    import _thread  # noqa: PLC0415 - few nodes need it
    import ctypes  # noqa: PLC0415 - few nodes need it

    def go_on() -> None:
        while b") Z " not in read_stat():
            os.sched_yield()
        speak(node)
        signal.pause()

    _thread.start_new_thread(go_on, ())
    ctypes.CDLL(None).pthread_exit(None)


def stay(node: Description, children: Children) -> NoReturn:
    """Fork, reap and restart as described, and wait for signals.

    Each signal leaves a byte in a pipe: one that comes just before a ``pause()`` would be lost.
    """
    every = node.get("forks_every")
    while every:
        time.sleep(every)
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


def enter(leaf: int) -> None:
    """Move into the cgroup whose ``cgroup.procs`` is open here."""
    if leaf >= 0:
        os.write(leaf, b"0")
        os.close(leaf)


enter(int(os.environ["PLANT_LEAF"]))
live(eval(sys.argv[1]))  # noqa: S307 - the planter wrote it; importing json would double our start
