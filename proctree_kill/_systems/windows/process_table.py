"""All processes of Windows at one moment, by a single call."""

from __future__ import annotations

import struct
from codecs import utf_16_le_decode
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from . import win32

ENTRY = struct.Struct("@I 28x Q 16x H 2x P i N N")
"""SYSTEM_PROCESS_INFORMATION as far as the parent (winternl.h; ntexapi.h of phnt).

Next entry, creation time, length and address of the name, priority, pid, parent's pid; a structure
of ctypes takes three times as long.
"""


class Row(NamedTuple):
    """One process.

    Args:
        pid: its number.
        ppid: the number of its parent, which stays when the parent dies.
        start: when it was created, as a FILETIME.
        name: the name of its program.
    """

    pid: int
    ppid: int
    start: int
    name: str


class ProcessTable:
    """All processes at one moment."""

    def __init__(self, rows: Iterable[Row]) -> None:
        """Index the rows by number and by parent."""
        self.rows = {row.pid: row for row in rows}
        self._children: dict[int, list[Row]] = {}
        for row in self.rows.values():
            self._children.setdefault(row.ppid, []).append(row)

    def children(self, pid: int, start: int) -> list[Row]:
        """Return the children of the process that had this number and start time."""
        # An older row is the child of an earlier owner of the number.
        found = self._children.get(pid, [])
        return [row for row in found if row.start >= start and row.pid != pid]

    def ancestors(self, pid: int) -> list[int]:
        """Return the parent of a process, its parent, and so on."""
        found: list[int] = []
        child = self.rows.get(pid)
        while child and (parent := self.rows.get(child.ppid)) and parent.pid not in (0, *found):
            if parent.start > child.start:  # it only has the number of the dead parent
                break
            found.append(parent.pid)
            child = parent
        return found


def read() -> ProcessTable:
    """Read the process table."""
    return ProcessTable(parse(*win32.process_table()))


def parse(table: bytes, address: int) -> Iterator[Row]:
    """Parse the output of NtQuerySystemInformation.

    Args:
        table: the bytes.
        address: where Windows wrote them; names are pointers into them.
    """
    unpack, offset, last = ENTRY.unpack_from, 0, len(table) - ENTRY.size
    while offset <= last:
        following, start, length, text, _, pid, ppid = unpack(table, offset)
        begin = text - address
        # bytes.decode() would look the codec up each time, which takes longer than all the rest
        name = utf_16_le_decode(table[begin : begin + length], "replace")[0] if text else ""
        yield Row(pid, ppid, start, name)
        if not following:
            return
        offset += following
