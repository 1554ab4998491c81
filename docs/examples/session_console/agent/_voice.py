"""What the agent says to the console: one JSON object a line on its standard output."""

from __future__ import annotations

import contextlib
import json


def say(kind: str, **facts: object) -> None:
    """Say something; nobody listens any more where the console is dead.

    Args:
        kind: ``log``, ``question`` or ``result``.
        facts: ``text``, or the ``message`` and the ``schema`` of a question.
    """
    with contextlib.suppress(OSError):
        print(json.dumps({"say": kind, **facts}), flush=True)
