"""Start the session console: ``python -m docs.examples.session_console`` in a clone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
from pathlib import Path
from types import FrameType

import uvicorn

from proctree_kill import KillPolicy

from ._app import Application
from ._console import Console
from ._feed import Feed

HOST = "127.0.0.1"
PORT = 8321
FOLDER = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")


class Server(uvicorn.Server):
    """A server that lets its browsers go when it is asked to leave: their streams never end."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        """Serve an application whose events these are."""
        super().__init__(config)
        self._feed = feed

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end."""
        asyncio.get_running_loop().call_soon_threadsafe(self._feed.close)
        super().handle_exit(sig, frame)


def bind(port: int) -> socket.socket:
    """Return a socket of this machine only; port 0 lets the system choose one."""
    listening = socket.socket()
    if os.name == "posix":  # elsewhere it lets two servers have the same port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((HOST, port))
    listening.listen()  # from now on: who reads the address below may come at once
    return listening


def serve(listening: socket.socket, directory: Path, grace: float) -> None:
    """Serve until a signal comes, then stop every session."""
    port = listening.getsockname()[1]
    console = Console(directory, KillPolicy(grace=grace))
    app = Application(console).starlette([f"{HOST}:{port}", f"localhost:{port}"])
    config = uvicorn.Config(app, log_level="warning", lifespan="on")
    print(f"session console: http://{HOST}:{port}/  (Ctrl-C ends it)", flush=True)
    Server(config, console.feed).run(sockets=[listening])


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="session_console", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0: any")
    parser.add_argument(
        "--grace", type=float, default=5.0, help="seconds between the request and the force"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=FOLDER / "proctree-kill-console",
        help="where sessions are written down (default %(default)s)",
    )
    options = parser.parse_args()
    with bind(options.port) as listening, contextlib.suppress(KeyboardInterrupt):
        serve(listening, options.directory, options.grace)


if __name__ == "__main__":
    main()
