"""What is said to ``taskkill`` and ``tasklist``, and what their answers mean. Pure.

Their words are in the language of the system and in its code page, so no word is read:
an exit code says what may have happened, a look at the process says what did.
"""

from __future__ import annotations

import csv
import ntpath
from collections.abc import Iterable, Iterator
from enum import StrEnum

MOST_NUMBERS = 500
"""How many processes one command names; a command line holds 32,767 characters."""


class Answer(StrEnum):
    """What a tool made of a request."""

    DONE = "it was accepted"
    REFUSED = "it was refused"
    NOT_FOUND = "there was no such process"
    FAILED = "it failed"
    HUNG = "it took too long and was ended"
    MISSING = "the program is missing"


_CODES = {0: Answer.DONE, 1: Answer.REFUSED, 128: Answer.NOT_FOUND}


def program(windows_folder: str, name: str) -> str:
    """Return the path of a tool; what PATH holds is anybody's."""
    return ntpath.join(windows_folder, "System32", f"{name}.exe")


def ask_to_close(tool: str, pids: Iterable[int]) -> list[str]:
    """Return the command that posts WM_CLOSE to the windows of these."""
    return [tool, *_numbers(pids)]


def force(tool: str, pids: Iterable[int]) -> list[str]:
    """Return the command that ends these.

    Never with ``/T``: it follows parent ids, which nobody corrects when a number is used again,
    so it would end the children of an earlier owner, and those who are spared.
    """
    return [tool, "/F", *_numbers(pids)]


def look_up(tool: str, pid: int) -> list[str]:
    """Return the command that lists one process, as CSV and without a header."""
    return [tool, "/FI", f"PID eq {pid}", "/FO", "CSV", "/NH"]


def answer(code: int | None) -> Answer:
    """Say what an exit code of taskkill means; None: it had to be ended."""
    return Answer.HUNG if code is None else _CODES.get(code, Answer.FAILED)


def lists(output: bytes, pid: int) -> bool:
    """Tell whether the output of tasklist has a row whose second field is this number.

    Other fields hold numbers too (session, memory), and what it says where nobody matches is a
    sentence in the system's language.
    """
    wanted = str(pid)
    return any(len(row) > 1 and row[1].strip() == wanted for row in _rows(output))


def batches(pids: list[int]) -> Iterator[list[int]]:
    """Divide numbers into as many as one command names."""
    for begin in range(0, len(pids), MOST_NUMBERS):
        yield pids[begin : begin + MOST_NUMBERS]


def _numbers(pids: Iterable[int]) -> Iterator[str]:
    """Name processes."""
    for pid in pids:
        yield from ("/PID", str(pid))


def _rows(output: bytes) -> Iterator[list[str]]:
    """Read CSV in a code page that need not be known: digits, quotes and commas are ASCII.

    In the Far East's double-byte pages a second byte is never a quote or a comma either.
    """
    return csv.reader(output.decode("latin-1").replace("\0", "").splitlines())
