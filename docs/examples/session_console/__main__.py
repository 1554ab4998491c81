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
    """A server that ends the streams of its browsers when it must exit: they never end alone."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        """Serve the application of this feed."""
        super().__init__(config)
        self._feed = feed

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Close the feed, then exit."""
        asyncio.get_running_loop().call_soon_threadsafe(self._feed.close)
        super().handle_exit(sig, frame)


def bind(port: int) -> socket.socket:
    """Return a socket that only this machine can reach. Port 0: the system chooses."""
    listening = socket.socket()
    if os.name == "posix":  # elsewhere it lets two servers have the same port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((HOST, port))
    listening.listen()  # before the address is printed: a browser may come at once
    return listening


def serve(
    listening: socket.socket, directory: Path, grace: float, idle_timeout: float | None
) -> None:
    """Serve until a signal comes, then stop every session."""
    port = listening.getsockname()[1]
    console = Console(directory, KillPolicy(grace=grace), idle_timeout)
    app = Application(console).starlette([f"{HOST}:{port}", f"localhost:{port}"])
    config = uvicorn.Config(app, log_level="warning", lifespan="on")
    print(f"session console: http://{HOST}:{port}/  (Ctrl-C ends it)", flush=True)
    Server(config, console.feed).run(sockets=[listening])


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="session_console", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0: any")
    parser.add_argument(
        "--grace", type=float, default=5.0, help="seconds between the polite request and force"
    )
    parser.add_argument(
        "--idle-timeout", type=float, help="seconds after which an idle agent is stopped"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=FOLDER / "proctree-kill-console",
        help="the folder of the records (default %(default)s)",
    )
    options = parser.parse_args()
    with bind(options.port) as listening, contextlib.suppress(KeyboardInterrupt):
        serve(listening, options.directory, options.grace, options.idle_timeout)


if __name__ == "__main__":
    main()
