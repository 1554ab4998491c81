"""A named pipe that each program of a tree holds open until its death."""

from __future__ import annotations

import os

PATH = "CLARIFICATION_VOICE"
"""The environment variable that names the pipe."""


def speak() -> None:
    """Open the pipe and keep it open; without one, nobody listens."""
    path = os.environ.get(PATH)
    if path is not None:
        os.open(path, os.O_WRONLY)  # not inherited, and closed by the system
