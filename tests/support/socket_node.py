"""Play one process of a tree of a `SocketPlanter`, and start those below it.

Run as ``python -I -S socket_node.py PORT TOKEN DESCRIPTION``.
PORT is where the planter listens, TOKEN tells its processes from all others in the process table,
DESCRIPTION is the JSON of a `nodes.Node` without its defaults.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any, NoReturn

port, token = int(sys.argv[1]), sys.argv[2]


def start(node: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start a child that plays ``node``."""
    command = [sys.executable, "-I", "-S", __file__, str(port), token, json.dumps(node)]
    flags = node.get("flags", 0)
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, creationflags=flags)


def set_handler(node: dict[str, Any]) -> tuple[socket.socket, socket.socket]:
    """Install what CTRL_BREAK does.

    Returns:
        What the main thread must read to run the handler, and its other end, which must stay open.
    """
    reading, waking = socket.socketpair()
    on_term = node.get("on_term", "die")

    def leave(*_: object) -> NoReturn:
        sys.exit(node.get("exit_code", 0))

    if on_term != "die":
        waking.settimeout(0.0)
        signal.set_wakeup_fd(waking.fileno())
        handler = signal.SIG_IGN if on_term == "ignore" else leave
        signal.signal(getattr(signal, "SIGBREAK", signal.SIGTERM), handler)
    return reading, waking


def leave_with(planter: socket.socket) -> None:
    """End this process when the planter closes its end."""
    try:
        planter.recv(1)
    finally:
        os._exit(0)


def live(node: dict[str, Any]) -> None:
    """Be this node until something ends it."""
    planter = socket.create_connection(("127.0.0.1", port))
    wake, _waking = set_handler(node)
    children = [start(child) for child in node.get("children", ())]
    planter.sendall(f"{node['name']} {os.getpid()}\n".encode())
    if node.get("dies"):
        planter.recv(1)  # the planter answers when all nodes have started
        os._exit(0)
    threading.Thread(target=leave_with, args=(planter,), daemon=True).start()
    while node.get("restarts"):
        children.pop().wait()
        children.append(start(node["children"][0]))
    while True:
        wake.recv(1)  # on Windows a lock would keep the main thread from its handlers


live(json.loads(sys.argv[3]))
