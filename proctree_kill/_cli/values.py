"""What several commands have in common on the command line, and how values are read."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

HIGHEST_PID = 2**31 - 1
"""What a pid_t holds."""


def pid(text: str) -> int:
    """Read the number of a process; which ones are refused is the library's business."""
    if not (text.isascii() and text.removeprefix("-").isdecimal()):
        message = f"{text!r} is not the number of a process"
        raise argparse.ArgumentTypeError(message)
    if abs(number := int(text)) > HIGHEST_PID:
        message = f"no process has a number as high as {text}"
        raise argparse.ArgumentTypeError(message)
    return number


def pids(text: str) -> list[int]:
    """Read numbers with commas between them."""
    return [pid(one) for one in text.split(",")]


def seconds(text: str) -> float:
    """Read a number of seconds; its range is the policy's business."""
    try:
        return float(text)
    except ValueError:
        message = f"{text!r} is not a number of seconds"
        raise argparse.ArgumentTypeError(message) from None


def time_limit(text: str) -> float:
    """Read the seconds that a command has."""
    number = seconds(text)
    if not 0 < number < math.inf:
        message = f"{text!r} is no time that a command could have"
        raise argparse.ArgumentTypeError(message)
    return number


def marker(text: str) -> str:
    """Read a variable of the environment with its value."""
    name, _, value = text.partition("=")
    if not (name and value):
        message = f"{text!r} is not of the form NAME=VALUE"
        raise argparse.ArgumentTypeError(message)
    return text


def _folder(text: str) -> Path:
    """Read the name of a folder: a wrong one would look like one without sessions."""
    if not Path(text).is_dir():
        message = f"{text!r} is not a folder"
        raise argparse.ArgumentTypeError(message)
    return Path(text)
