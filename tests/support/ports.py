"""Ports for programs that must be told theirs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def free_port() -> Iterator[int]:
    """Yield a port of loopback on which a program may listen that sets SO_REUSEADDR.

    On Linux it is held meanwhile: the system chooses it for no other socket (socket(7)).
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        if not Path("/proc/self/stat").exists():
            holder.close()
        yield port
