"""The types of the arguments."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from .._models.signal_names import signal_name

HIGHEST_PID = 2**31 - 1  # the largest pid_t


def pid(text: str) -> int:
    """Read a pid. Which pids are refused is the library's business."""
    if not (text.isascii() and text.removeprefix("-").isdecimal()):
        message = f"{text!r} is not a pid"
        raise argparse.ArgumentTypeError(message)
    if abs(number := int(text)) > HIGHEST_PID:
        message = f"no pid is as large as {text}"
        raise argparse.ArgumentTypeError(message)
    return number


def pids(text: str) -> list[int]:
    """Read pids with commas between them."""
    return [pid(part) for part in text.split(",")]


def seconds(text: str) -> float:
    """Read a number of seconds. Its range is the policy's business."""
    try:
        return float(text)
    except ValueError:
        message = f"{text!r} is not a number of seconds"
        raise argparse.ArgumentTypeError(message) from None


def signal(text: str) -> str:
    """Read the name of a signal that asks."""
    try:
        signal_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def steps(text: str) -> list[str]:
    """Read the steps of a teardown. What is in them is the policy's business."""
    return text.split(",")


def time_limit(text: str) -> float:
    """Read a time limit in seconds."""
    number = seconds(text)
    if not 0 < number < math.inf:
        message = f"{text!r} is not a time limit"
        raise argparse.ArgumentTypeError(message)
    return number


def marker(text: str) -> str:
    """Read an environment variable with its value."""
    name, _, value = text.partition("=")
    if not (name and value):
        message = f"{text!r} is not of the form NAME=VALUE"
        raise argparse.ArgumentTypeError(message)
    return text


def folder(text: str) -> Path:
    """Read the path of a folder that exists."""
    # a wrong path would look like a folder without sessions
    if not Path(text).is_dir():
        message = f"{text!r} is not a folder"
        raise argparse.ArgumentTypeError(message)
    return Path(text)
