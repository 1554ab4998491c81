"""The messages of the agent to the console: one JSON object in each line of standard output."""

from __future__ import annotations

import contextlib
import json


def send(kind: str, **facts: object) -> None:
    """Write a message.

    Args:
        kind: ``log``, ``question`` or ``result``.
        facts: ``text``, or ``message`` and ``schema`` of a question.
    """
    with contextlib.suppress(OSError):  # the console is dead
        print(json.dumps({"kind": kind, **facts}), flush=True)
