"""Processes by the port that they listen on, and by the name of their program, by psutil alone."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

import psutil

from . import psutil_facts
from .contract import Listener


def listeners(port: int, among: Collection[int] | None = None) -> list[Listener]:
    """Find the sockets that listen on a port; psutil names one holder of each."""
    return [
        Listener(_protocol(found), None, () if pid is None else (pid,))
        for pid, found in _sockets()
        if found.laddr
        and found.laddr.port == port
        and found.status == (psutil.CONN_LISTEN if _is_tcp(found) else psutil.CONN_NONE)
        and not found.raddr
        and (among is None or pid is None or pid in among)
    ]


def named(name: str, among: Collection[int] | None = None) -> list[int]:
    """Find the processes whose program has exactly this name; on Windows without ``.exe`` too."""
    pids = psutil.pids() if among is None else among
    return [pid for pid in pids if _is_named(pid, name)]


def name_among(found: str, names: Collection[str]) -> str:
    """Return which of these names a program has; "" where it has none."""
    if not found.lower().endswith(".exe"):
        return found if found in names else ""
    same = (found.lower(), found.lower().removesuffix(".exe"))
    return next((name for name in names if name.lower() in same), "")


def _sockets() -> Iterator[tuple[int | None, Any]]:
    """Yield each socket with a process that holds it; None where that is hidden."""
    try:
        for found in psutil.net_connections("inet"):
            yield found.pid, found
    except psutil.AccessDenied:  # macOS shows all to root only
        for process in psutil.process_iter():
            for connection in psutil_facts.read(partial(process.net_connections, "inet")) or ():
                yield process.pid, connection


def _is_tcp(found: Any) -> bool:  # noqa: ANN401 - psutil's
    return bool(found.type == socket.SOCK_STREAM)


def _protocol(found: Any) -> str:  # noqa: ANN401 - psutil's
    return ("tcp" if _is_tcp(found) else "udp") + ("6" if found.family == socket.AF_INET6 else "")


def _is_named(pid: int, name: str) -> bool:
    process = psutil_facts.find(pid)
    found = process and psutil_facts.read(process.name)
    if process is None or not found or psutil_facts.is_dead(process):
        return False
    return bool(name_among(found, [name]))
