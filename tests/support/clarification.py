"""The agent of the session console without a page: it asks, and waits for an answer."""

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
    """Return the options of an agent, with its server under npx or without."""
    env = {name: value for name, value in os.environ.items() if everything or name != NPM_PREFIX}
    # Unbuffered: select() does not see what waits in a buffer.
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
        self.question = self._read_message("question")["message"]
        root = psutil.Process(session.process.pid)
        self.members = [root, *root.children(recursive=True)]

    def answer(self, **content: str) -> None:
        assert self._process.stdin
        line = json.dumps({"action": "accept", "content": content})
        self._process.stdin.write(line.encode() + b"\n")

    def result(self) -> str:
        text: str = self._read_message("result")["text"]
        return text

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read_message(self, kind: str) -> dict[str, Any]:
        """Read the messages of the agent up to the first of this kind."""
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
