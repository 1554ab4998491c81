"""An agent that waits for an answer, and whether it and all its servers are gone."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from proctree_kill import Session

from .capabilities import npm_prefix
from .trees import BOUND
from .voice import PATH

TESTS = Path(__file__).parents[1]
CLIENT = Path(__file__).with_name("clarifying_client.py")
EVERYTHING = 'exec 9>"$CLARIFICATION_VOICE"; exec npx --no-install mcp-server-everything'
"""A shell that holds the pipe open, and hands it on to npx and whatever that starts."""


class Clarification:
    """One agent; its own pipe tells when the last of its tree has died."""

    def __init__(self, folder: Path) -> None:
        """Make the pipe and the places of files."""
        self._folder = folder
        self._pipe = folder / "voice"
        os.mkfifo(self._pipe)
        self._ear = os.open(self._pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.answer = folder / "answer.json"
        self.port = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._ear)

    def argv(self, *ways: str, everything: bool = False) -> list[str]:
        """Return the command of the agent, which ignores its input, or is deaf."""
        argv = [sys.executable, str(CLIENT), "--answer", str(self.answer)]
        beside = ["--beside", f"sh\n-c\n{EVERYTHING}"] if everything else []
        return [*argv, *(f"--{one}" for one in ways), *beside]

    def options(self) -> dict[str, Any]:
        """Return what else it is started with."""
        quiet = {"npm_config_update_notifier": "false", "HOME": str(self._folder)}
        env = {**os.environ, **quiet, PATH: str(self._pipe), "PYTHONPATH": str(TESTS)}
        # Unbuffered, so that what select() does not know of waits in no buffer.
        return {
            "env": env,
            "bufsize": 0,
            "stdout": subprocess.PIPE,
            "cwd": npm_prefix() or self._folder,
        }

    def await_question(self, session: Session) -> str:
        """Read what the agent says until it asks: everybody is there by then."""
        while True:
            told = self.next_line(session)
            self.port = told.get("port", self.port)
            if "question" in told:
                return str(told["question"])

    def next_line(self, session: Session) -> dict[str, Any]:
        """Read the next thing that the agent says."""
        assert session.process
        assert session.process.stdout
        assert select.select([session.process.stdout], [], [], BOUND)[0], "the agent says nothing"
        line = session.process.stdout.readline()
        assert line, "the agent has left"
        told: dict[str, Any] = json.loads(line)
        return told

    def listens(self) -> bool:
        """Tell whether somebody listens on the port of the web server."""
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def is_over(self) -> bool:
        """Tell whether the last process is dead, without waiting for it."""
        return bool(select.select([self._ear], [], [], 0)[0]) and not os.read(self._ear, 1)
