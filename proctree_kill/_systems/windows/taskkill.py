"""The commands of ``taskkill`` and ``tasklist``, and what their answers mean. Pure.

Their text is in the language and the code page of the system, so no word of it is read:
an exit code says what may have happened, a look at the process says what did.
"""

from __future__ import annotations

import csv
import ntpath
from collections.abc import Iterable, Iterator
from enum import StrEnum

BATCH_SIZE = 500
"""Processes in one command; a command line holds 32,767 characters."""


class Answer(StrEnum):
    """The outcome of a request to a tool."""

    DONE = "it was accepted"
    REFUSED = "it was refused"
    NOT_FOUND = "there was no such process"
    FAILED = "it failed"
    HUNG = "it took too long and was ended"
    MISSING = "the program is missing"


_CODES = {0: Answer.DONE, 1: Answer.REFUSED, 128: Answer.NOT_FOUND}


def program(windows_folder: str, name: str) -> str:
    """Return the path of a tool: PATH cannot be trusted."""
    return ntpath.join(windows_folder, "System32", f"{name}.exe")


def ask_to_close(tool: str, pids: Iterable[int]) -> list[str]:
    """Return the command that posts WM_CLOSE to the windows of these."""
    return [tool, *_numbers(pids)]


def force(tool: str, pids: Iterable[int]) -> list[str]:
    """Return the command that ends these.

    Never with ``/T``: it follows parent ids, which stay when a number is used again,
    so it would end the children of an earlier owner of the number, and spared processes.
    """
    return [tool, "/F", *_numbers(pids)]


def look_up(tool: str, pid: int) -> list[str]:
    """Return the command that lists one process, as CSV and without a header."""
    return [tool, "/FI", f"PID eq {pid}", "/FO", "CSV", "/NH"]


def answer(code: int | None) -> Answer:
    """Return the outcome by the exit code of taskkill; None: it had to be ended."""
    return Answer.HUNG if code is None else _CODES.get(code, Answer.FAILED)


def lists(output: bytes, pid: int) -> bool:
    """Whether the output of tasklist has a row with this number in its second field.

    Other fields hold numbers too (session, memory). Without a match the output is a sentence
    in the system's language.
    """
    wanted = str(pid)
    return any(len(row) > 1 and row[1].strip() == wanted for row in _rows(output))


def batches(pids: list[int]) -> Iterator[list[int]]:
    """Divide numbers into batches for one command each."""
    for begin in range(0, len(pids), BATCH_SIZE):
        yield pids[begin : begin + BATCH_SIZE]


def _numbers(pids: Iterable[int]) -> Iterator[str]:
    for pid in pids:
        yield from ("/PID", str(pid))


def _rows(output: bytes) -> Iterator[list[str]]:
    # Any code page will do: digits, quotes and commas are ASCII, and in East Asian double-byte
    # pages a second byte is never a quote or a comma.
    return csv.reader(output.decode("latin-1").replace("\0", "").splitlines())
