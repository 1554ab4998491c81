"""Pure: layouts and the process table, on every system. Real: the calls, where they exist."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading

import psutil
import pytest

from proctree_kill._systems.windows import process_table, win32
from proctree_kill._systems.windows.job_limits import BasicLimits, CpuRate, ExtendedLimits
from proctree_kill._systems.windows.job_usage import Accounting, Message, PortOfJob
from proctree_kill._systems.windows.process_table import Row

ADDRESS = 0x7FFE0000
wide = pytest.mark.skipif(
    ctypes.sizeof(ctypes.c_void_p) != 8, reason="the sizes are those of 64 bits"
)
real = pytest.mark.needs("job objects")


class ProcessInformation(ctypes.Structure):
    """SYSTEM_PROCESS_INFORMATION, as far as the parent (winternl.h; ntexapi.h of phnt)."""

    _fields_ = (
        ("next", ctypes.c_uint32),
        ("threads", ctypes.c_uint32),
        ("not_used", ctypes.c_uint8 * 24),
        ("created", ctypes.c_uint64),
        ("user_time", ctypes.c_uint64),
        ("kernel_time", ctypes.c_uint64),
        ("name", win32.UnicodeString),
        ("priority", ctypes.c_int32),
        ("pid", ctypes.c_size_t),
        ("ppid", ctypes.c_size_t),
    )


def entry(row: Row, *, offset: int, last: bool = False) -> bytes:
    """Write a row as Windows does: the facts, three threads, the name, padding."""
    name = row.name.encode("utf-16-le")
    begin = ctypes.sizeof(ProcessInformation) + 3 * 80
    size = begin + len(name) + 2
    where = ADDRESS + offset + begin if name else 0
    facts = ProcessInformation(
        next=0 if last else size,
        created=row.start,
        name=win32.UnicodeString(len(name), len(name) + 2, where),
        pid=row.pid,
        ppid=row.ppid,
    )
    return bytes(facts) + bytes(3 * 80) + name + bytes(2)


def table(*rows: Row) -> bytes:
    written = b""
    for row in rows:
        written += entry(row, offset=len(written), last=row is rows[-1])
    return written


@wide
@pytest.mark.parametrize(
    ("layout", "size"),
    [
        (BasicLimits, 64),
        (ExtendedLimits, 144),
        (CpuRate, 8),
        (Accounting, 48),
        (PortOfJob, 16),
        (Message, 32),
        (win32.BasicInformation, 48),
        (win32.ObjectInformation, 56),
        (win32.UnicodeString, 16),
        (ProcessInformation, 96),
    ],
)
def test_sizes_are_those_of_the_headers(layout: type[ctypes.Structure], size: int) -> None:
    assert ctypes.sizeof(layout) == size


@wide
def test_offsets_are_those_of_the_headers() -> None:
    assert (ProcessInformation.created.offset, ProcessInformation.name.offset) == (32, 56)
    assert (ProcessInformation.pid.offset, ProcessInformation.ppid.offset) == (80, 88)
    assert (ExtendedLimits.job_memory.offset, ExtendedLimits.peak_job_memory.offset) == (120, 136)
    assert (Accounting.processes.offset, Message.message.offset) == (36, 24)


def test_a_table_is_read_to_its_end() -> None:
    rows = [Row(0, 0, 0, ""), Row(4, 0, 1, "System"), Row(96, 4, 7, "übergroß 表.exe")]
    assert list(process_table.parse(table(*rows), ADDRESS)) == rows


def test_a_table_that_was_cut_off_ends() -> None:
    rows = [Row(4, 0, 1, "System"), Row(96, 4, 7, "node.exe")]
    written = table(*rows)
    cut = written[: len(entry(rows[0], offset=0)) + 40]
    assert list(process_table.parse(cut, ADDRESS)) == rows[:1]
    assert list(process_table.parse(b"", ADDRESS)) == []


@real
def test_the_table_is_that_of_psutil() -> None:
    process = psutil.Process()
    row = process_table.read().rows[process.pid]
    assert (row.ppid, row.name) == (process.ppid(), process.name())
    assert row.start / 1e7 - 11644473600 == pytest.approx(process.create_time(), abs=1e-3)


@real
def test_a_handle_gives_the_facts_of_the_table() -> None:
    row = process_table.read().rows[os.getpid()]
    handle = win32.open_process(os.getpid(), win32.PROCESS_QUERY_LIMITED_INFORMATION)
    assert handle
    with win32.closing(handle):
        basic = win32.basic(handle)
        assert basic
        assert (basic.pid, basic.ppid) == (row.pid, row.ppid)
        assert (win32.created(handle), win32.image(handle)) == (row.start, row.name)
        assert win32.granted(handle) & win32.PROCESS_QUERY_LIMITED_INFORMATION
        assert not win32.granted(handle) & win32.PROCESS_TERMINATE
        assert row.start < win32.now()


@real
def test_the_caller_is_among_the_ancestors_of_its_child() -> None:
    with subprocess.Popen([sys.executable], creationflags=4) as child:
        assert process_table.read().ancestors(child.pid)[0] == os.getpid()
        child.kill()


@real
def test_a_number_without_a_process_opens_nothing() -> None:
    with subprocess.Popen([sys.executable], creationflags=4) as child:
        assert win32.process_of_thread(child.pid) is None
        child.kill()
    assert win32.open_process(threading.get_native_id(), win32.SYNCHRONIZE) is None
    assert win32.process_of_thread(threading.get_native_id()) == os.getpid()


@real
def test_a_process_is_suspended_by_count() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"], creationflags=4) as child:
        rights = win32.PROCESS_SUSPEND_RESUME | win32.SYNCHRONIZE
        handle = win32.open_process(child.pid, rights)
        assert handle
        with win32.closing(handle):
            assert win32.suspend(handle)
            assert win32.resume(handle)
            assert win32.wait([handle], 0) is None  # it was started suspended, and is still
            assert win32.resume(handle)
            assert win32.wait([handle], 20) == 0


@real
def test_memory_that_is_not_there_is_not_read() -> None:
    rights = win32.PROCESS_QUERY_LIMITED_INFORMATION | win32.PROCESS_VM_READ
    handle = win32.open_process(os.getpid(), rights)
    assert handle
    with win32.closing(handle):
        assert win32.read_memory(handle, 8, 8) is None
