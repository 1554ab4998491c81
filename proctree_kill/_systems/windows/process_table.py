"""All processes of Windows at one moment, by a single call."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import c_size_t, c_uint8, c_uint32, c_uint64
from typing import NamedTuple

from . import win32


class ProcessInformation(ctypes.Structure):
    """SYSTEM_PROCESS_INFORMATION, as far as the parent (winternl.h; ntexapi.h of phnt)."""

    _fields_ = (
        ("next", c_uint32),
        ("threads", c_uint32),
        ("not_used", c_uint8 * 24),
        ("created", c_uint64),
        ("user_time", c_uint64),
        ("kernel_time", c_uint64),
        ("name", win32.UnicodeString),
        ("priority", c_size_t),
        ("pid", c_size_t),
        ("ppid", c_size_t),
    )


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

    def __init__(self, rows: Iterator[Row]) -> None:
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
    offset, size = 0, ctypes.sizeof(ProcessInformation)
    while offset + size <= len(table):
        entry = ProcessInformation.from_buffer_copy(table, offset)
        begin = entry.name.text - address
        name = table[begin : begin + entry.name.length] if entry.name.text else b""
        yield Row(entry.pid, entry.ppid, entry.created, name.decode("utf-16-le", "replace"))
        if not entry.next:
            return
        offset += entry.next
