"""Targets as they are written on the command line."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from .values import pid

HIGHEST_PORT = 2**16 - 1


class Port(NamedTuple):
    """``:8000``: the topmost process that listens there."""

    number: int


class Name(NamedTuple):
    """``node``: the processes that run this program."""

    text: str


class Inode(NamedTuple):
    """``4711:6834``: the process with this number, if its pidfd has this inode."""

    pid: int
    number: int


class UndecidedError(Exception):
    """It is not clear what a target means, or it was not confirmed. No process was touched."""


WrittenTarget = int | Port | Name | Inode


def target(text: str) -> WrittenTarget:
    """Read a target. Which processes are refused is the library's business."""
    head, colon, tail = text.partition(":")
    if colon and not head:
        if not (_is_number(tail) and 0 < int(tail) <= HIGHEST_PORT):
            message = f"{text!r} is not a port: expected :1 to :{HIGHEST_PORT}"
            raise argparse.ArgumentTypeError(message)
        return Port(int(tail))
    if text.startswith("-") and _is_number(text[1:]):  # kill -9 PID
        message = f"{text!r} is not a pid; --force kills at once, --signal NAME asks otherwise"
        raise argparse.ArgumentTypeError(message)
    if _is_number(head):
        if not colon:
            return pid(text)
        if not _is_number(tail):
            message = f"{text!r} is not a target: expected PID:INODE, or :PORT"
            raise argparse.ArgumentTypeError(message)
        return Inode(pid(head), int(tail))
    if not text or text[0] in "+-%" or "/" in text:
        message = f"{text!r} is not a target: expected a pid, PID:INODE, :PORT or a program's name"
        raise argparse.ArgumentTypeError(message)
    if _is_number(port := text.rpartition(":")[2]) and colon:  # localhost:8000
        message = f"{text!r} is not a target: a port is written :{port}"
        raise argparse.ArgumentTypeError(message)
    if _is_number(text.replace(",", "")):
        message = f"{text!r} is not a target: write a space between pids"
        raise argparse.ArgumentTypeError(message)
    return Name(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
