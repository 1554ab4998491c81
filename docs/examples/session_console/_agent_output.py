"""The output of an agent: JSON objects, one in each line, and anything its servers write."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import IO, Any

LONGEST = 2000  # characters of a line that are shown


def read_output(stream: IO[bytes], receive: Callable[[dict[str, Any]], None]) -> None:
    """Call ``receive`` with each message, in a thread, and close the stream at its end."""

    def read() -> None:
        with stream:
            for line in stream:
                receive(_parse(line))

    threading.Thread(target=read, name="agent output", daemon=True).start()


def _parse(line: bytes) -> dict[str, Any]:
    text = line.decode(errors="replace").rstrip()
    try:
        message = json.loads(text)
    except ValueError:
        message = None
    if isinstance(message, dict) and "kind" in message:
        return message
    return {"text": text[:LONGEST]}  # not from the agent: a line of the log
