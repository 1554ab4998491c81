"""The agent of the session console without a page: it asks, and waits for the answer for ever."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from typing import Any

import psutil

from proctree_kill import Session

from .capabilities import NPM_PREFIX
from .consoles import ROOT
from .times import BOUND

QUESTION = "When is an issue of octo/app stale?"
AGENT = [sys.executable, "-m", "docs.examples.session_console.agent", "octo/app"]


def options(*, everything: bool = False) -> dict[str, Any]:
    """Return what an agent is started with, with the server under npx or without."""
    env = {name: value for name, value in os.environ.items() if everything or name != NPM_PREFIX}
    # Unbuffered, so that what select() does not know of waits in no buffer.
    return {"env": env, "cwd": ROOT, "stdout": subprocess.PIPE, "bufsize": 0}


class Clarification:
    """A question that an agent has asked: its whole tree has started by then.

    Attributes:
        question: its words.
        members: the agent and its descendants.
        port: where its web server listens.
    """

    def __init__(self, session: Session) -> None:
        """Wait until the agent asks."""
        assert session.process
        self._process = session.process
        self.port = 0
        self.question = self._hear("question")["message"]
        root = psutil.Process(session.process.pid)
        self.members = [root, *root.children(recursive=True)]

    def answer(self, **content: str) -> None:
        """Give the answer."""
        assert self._process.stdin
        line = json.dumps({"action": "accept", "content": content})
        self._process.stdin.write(line.encode() + b"\n")

    def result(self) -> str:
        """Return what came of the task."""
        text: str = self._hear("result")["text"]
        return text

    def close(self) -> None:
        """Close our ends of the pipes."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _hear(self, kind: str) -> dict[str, Any]:
        """Read what the agent says until it says something of this kind."""
        assert self._process.stdout
        while True:
            assert select.select([self._process.stdout], [], [], BOUND)[0], "the agent is silent"
            line = self._process.stdout.readline()
            assert line, "the agent has left"
            told: dict[str, Any] = json.loads(line)
            if found := re.search(r"listens on http://127\.0\.0\.1:(\d+)", told.get("text", "")):
                self.port = int(found[1])
            if told["kind"] == kind:
                return told
