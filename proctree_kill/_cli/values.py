"""The types of the arguments."""

from __future__ import annotations

import argparse
import contextlib
import math
import re
from pathlib import Path
from signal import Signals

from .._models.signal_names import signal_name

HIGHEST_PID = 2**31 - 1  # the largest pid_t
FORCE = "SIGKILL"
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}  # seconds
_DURATION = re.compile(r"\s*\+?((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([smhd]?)", re.ASCII)


def pid(text: str) -> int:
    """Read a pid. Which pids are refused is the library's business."""
    if not (text.isascii() and text.removeprefix("-").isdecimal()):
        message = f"{text!r} is not a pid"
        raise argparse.ArgumentTypeError(message)
    if abs(number := int(text)) > HIGHEST_PID:
        message = f"no pid is as large as {text}"
        raise argparse.ArgumentTypeError(message)
    return number


def spared(text: str) -> list[int | str]:
    """Read pids with commas between them, the name of a program, or a marker."""
    first = text.split(",", maxsplit=1)[0].removeprefix("-")
    if first.isascii() and first.isdecimal():
        return [pid(part) for part in text.split(",")]
    return [program(text)]


def duration(text: str) -> float:
    """Read a duration, as timeout(1) does, and return its seconds."""
    found = _DURATION.fullmatch(text)
    number = float(found[1]) * _UNITS[found[2]] if found else math.inf
    if number == math.inf:
        message = f"{text!r} is not a duration; expected seconds, or a unit: 0.5, 5s, 1m, 2h, 5d"
        raise argparse.ArgumentTypeError(message)
    return number


def is_duration(text: str) -> bool:
    """Whether this is a duration."""
    return _DURATION.fullmatch(text) is not None


def time_limit(text: str) -> float | None:
    """Read a duration of which 0 is no limit."""
    return duration(text) or None


def number(text: str) -> int | float:
    """Read a number. Its bounds are the library's business."""
    for read in (int, float):
        with contextlib.suppress(ValueError):
            return read(text)
    message = f"{text!r} is not a number"
    raise argparse.ArgumentTypeError(message)


def signal(text: str) -> str:
    """Read the name or the number of a signal that asks, or of SIGKILL."""
    name = _signal(text)
    if name.upper() in ("KILL", FORCE):
        return FORCE
    try:
        signal_name(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def _signal(text: str) -> str:
    if not (text.isascii() and text.isdecimal()):
        return text
    try:
        return Signals(int(text)).name
    except ValueError:
        message = f"no signal has the number {text}; expected one of `kill -l`, or a name, as INT"
        raise argparse.ArgumentTypeError(message) from None


def steps(text: str) -> list[tuple[str, float]]:
    """Read the steps of a teardown. Which signals ask is the policy's business."""
    return [_step(part) for part in text.split(",")]


def _step(text: str) -> tuple[str, float]:
    parts = text.split()
    if len(parts) != 2:  # noqa: PLR2004 - a pair
        message = f"{text!r} is not a signal and its duration; expected steps as 'INT 3s, TERM 2'"
        raise argparse.ArgumentTypeError(message)
    return _signal(parts[0]), duration(parts[1])


def program(text: str) -> str:
    """Read the name of a program, or a marker."""
    if "=" in text:
        return marker(text)
    if not text or "/" in text:
        message = f"{text!r} is not the name of a program without its folder"
        raise argparse.ArgumentTypeError(message)
    if text.isdecimal():
        message = f"{text!r} is not the name of a program; what is to be started has no pid yet"
        raise argparse.ArgumentTypeError(message)
    if "," in text:
        message = f"{text!r} is not the name of a program; repeat the option for several"
        raise argparse.ArgumentTypeError(message)
    return text


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
    if not (text and Path(text).is_dir()):
        message = f"{text!r} is not a folder"
        raise argparse.ArgumentTypeError(message)
    return Path(text)
