"""Hearing an agent: one JSON object a line, and whatever else its servers write."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import IO, Any

LONGEST = 2000
"""How many characters of a line are shown."""


def hear_lines(stream: IO[bytes], heard: Callable[[dict[str, Any]], None]) -> None:
    """Call ``heard`` with everything that is said, in a thread, and close the stream at its end."""

    def hear() -> None:
        with stream:
            for line in stream:
                heard(_parse(line))

    threading.Thread(target=hear, name="hear an agent", daemon=True).start()


def _parse(line: bytes) -> dict[str, Any]:
    """Return what a line says; one that is not the agent's is a line of the log."""
    text = line.decode(errors="replace").rstrip()
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    return said if isinstance(said, dict) and "say" in said else {"text": text[:LONGEST]}
