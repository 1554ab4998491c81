"""Play one process of a garden, and start those below it.

Run as ``python -I -S sprout.py PORT TOKEN DESCRIPTION``.
PORT is where the garden listens, TOKEN tells its processes from all others in the process table,
DESCRIPTION is the JSON of a `garden.Sprout`.
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
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, creationflags=node["flags"])


def obey(asked: str) -> socket.socket:
    """Choose what CTRL_BREAK does; return what the main thread must read, so that it can."""
    heard, waker = socket.socketpair()
    if asked != "dies":
        waker.settimeout(0.0)
        signal.set_wakeup_fd(waker.fileno())
        handler = signal.SIG_IGN if asked == "stays" else leave
        signal.signal(getattr(signal, "SIGBREAK", signal.SIGTERM), handler)
    return heard


def leave_with(voice: socket.socket) -> None:
    """End this process when the garden closes its end."""
    try:
        voice.recv(1)
    finally:
        os._exit(0)


def leave(*_: object) -> NoReturn:
    """End this process as a handler does."""
    sys.exit(7)


def live(node: dict[str, Any]) -> None:
    """Be this node until something ends it."""
    voice = socket.create_connection(("127.0.0.1", port))
    heard = obey(node["asked"])
    children = [start(child) for child in node["children"]]
    voice.sendall(f"{node['name']} {os.getpid()}\n".encode())
    if node["dies"]:
        voice.recv(1)  # the garden answers when everybody has spoken
        os._exit(0)
    threading.Thread(target=leave_with, args=(voice,), daemon=True).start()
    while node["restarts"]:
        children.pop().wait()
        children.append(start(node["children"][0]))
    while True:
        heard.recv(1)  # on Windows a lock would keep the main thread from its handlers


live(json.loads(sys.argv[3]))
