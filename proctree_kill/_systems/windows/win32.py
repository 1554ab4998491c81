"""Windows' calls about processes, by ctypes: handles in, plain values out.

Types have fixed widths, so that the layouts can be checked on every system.
No library is loaded before the first call.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import ntpath
from collections.abc import Iterator, Mapping, Sequence
from ctypes import c_int32, c_size_t, c_uint16, c_uint32, c_uint64, c_void_p
from typing import Any

PROCESS_TERMINATE = 0x0001
PROCESS_VM_READ = 0x0010
PROCESS_SUSPEND_RESUME = 0x0800
PROCESS_QUERY_LIMITED_INFORMATION = 0x1000
SYNCHRONIZE = 0x00100000
"""Access rights: "Process Security and Access Rights", learn.microsoft.com."""

MAX_WAIT_HANDLES = 64
"""Handles that a single wait can hold (MAXIMUM_WAIT_OBJECTS)."""
TIMED_OUT, FAILED = 0x102, 0xFFFFFFFF
LONGEST_WAIT = 0xFFFFFFFE
"""Milliseconds; the next number means for ever."""
ACCESS_DENIED = 5
SYSTEM_PROCESS_INFORMATION = 5
INFO_LENGTH_MISMATCH = 0xC0000004
LONGEST_PATH = 32768

_P = ctypes.POINTER
_ctypes: Any = ctypes  # WinDLL and its like exist on Windows only
_KERNEL32: Mapping[str, tuple[Any, ...]] = {  # the result, then the arguments
    "CloseHandle": (c_int32, c_void_p),
    "CreateEventW": (c_void_p, c_void_p, c_int32, c_int32, c_void_p),
    "GetCurrentProcess": (c_void_p,),
    "GetExitCodeProcess": (c_int32, c_void_p, _P(c_uint32)),
    "GetProcessIdOfThread": (c_uint32, c_void_p),
    "GetProcessTimes": (c_int32, c_void_p, *[_P(c_uint64)] * 4),
    "GetSystemTimeAsFileTime": (None, _P(c_uint64)),
    "GetSystemWindowsDirectoryW": (c_uint32, c_void_p, c_uint32),
    "OpenProcess": (c_void_p, c_uint32, c_int32, c_uint32),
    "OpenThread": (c_void_p, c_uint32, c_int32, c_uint32),
    "QueryFullProcessImageNameW": (c_int32, c_void_p, c_uint32, c_void_p, _P(c_uint32)),
    "ReadProcessMemory": (c_int32, c_void_p, c_void_p, c_void_p, c_size_t, _P(c_size_t)),
    "SetEvent": (c_int32, c_void_p),
    "TerminateProcess": (c_int32, c_void_p, c_uint32),
    "WaitForMultipleObjects": (c_uint32, c_uint32, c_void_p, c_int32, c_uint32),
}
_NTDLL: Mapping[str, tuple[Any, ...]] = {
    "NtQueryInformationProcess": (c_uint32, c_void_p, c_int32, c_void_p, c_uint32, c_void_p),
    "NtQueryObject": (c_uint32, c_void_p, c_int32, c_void_p, c_uint32, c_void_p),
    "NtQuerySystemInformation": (c_uint32, c_int32, c_void_p, c_uint32, _P(c_uint32)),
    "NtResumeProcess": (c_uint32, c_void_p),
    "NtSuspendProcess": (c_uint32, c_void_p),
}


class BasicInformation(ctypes.Structure):
    """PROCESS_BASIC_INFORMATION (winternl.h)."""

    _fields_ = (
        ("exit_status", c_size_t),
        ("peb", c_size_t),
        ("affinity", c_size_t),
        ("priority", c_size_t),
        ("pid", c_size_t),
        ("ppid", c_size_t),
    )


class ObjectInformation(ctypes.Structure):
    """PUBLIC_OBJECT_BASIC_INFORMATION (winternl.h)."""

    _fields_ = (
        ("attributes", c_uint32),
        ("granted", c_uint32),
        ("handles", c_uint32),
        ("pointers", c_uint32),
        ("reserved", c_uint32 * 10),
    )


class UnicodeString(ctypes.Structure):
    """UNICODE_STRING (winternl.h); lengths in bytes."""

    _fields_ = (("length", c_uint16), ("room", c_uint16), ("text", c_size_t))


def load(name: str, functions: Mapping[str, tuple[Any, ...]]) -> Any:  # noqa: ANN401 - untyped functions
    """Load a library and declare these of its functions."""
    library = _ctypes.WinDLL(name, use_last_error=True)
    for function, (result, *arguments) in functions.items():
        found = getattr(library, function)
        found.restype, found.argtypes = result, arguments
    return library


@functools.cache
def kernel32() -> Any:  # noqa: ANN401 - untyped functions
    """Return the documented functions."""
    return load("kernel32", _KERNEL32)


@functools.cache
def ntdll() -> Any:  # noqa: ANN401 - untyped functions
    """Return the native functions."""
    return load("ntdll", _NTDLL)


def last_error() -> int:
    """Return the error code of the last call in this thread."""
    return int(_ctypes.get_last_error())


def error() -> OSError:
    """Return the error of the last call in this thread, to be raised."""
    found: OSError = _ctypes.WinError(last_error())
    return found


def callback(result: Any, *arguments: Any) -> Any:  # noqa: ANN401 - types of C
    """Return the type of a function that Windows calls."""
    return _ctypes.WINFUNCTYPE(result, *arguments)


def open_process(pid: int, rights: int) -> int | None:
    """Open a process; None if no process has this number.

    Raises:
        PermissionError: it is protected.
    """
    handle: int | None = kernel32().OpenProcess(rights, 0, pid)
    if handle is None and last_error() == ACCESS_DENIED:
        raise PermissionError
    return handle


def process_of_thread(tid: int) -> int | None:
    """Return the process of a thread; None if no thread has this number."""
    handle = kernel32().OpenThread(SYNCHRONIZE | 0x0800, 0, tid)  # THREAD_QUERY_LIMITED_INFORMATION
    if handle is None:
        return None
    with closing(handle):
        return kernel32().GetProcessIdOfThread(handle) or None


def close(handle: int) -> None:
    """Close a handle."""
    kernel32().CloseHandle(handle)


@contextlib.contextmanager
def closing(handle: int) -> Iterator[int]:
    """Close a handle at the end of the block."""
    try:
        yield handle
    finally:
        close(handle)


def created(process: int) -> int | None:
    """Return when a process was created, as a FILETIME: 100 ns since 1601."""
    times = _times(process)
    return None if times is None else times[0]


def cpu(process: int) -> tuple[int, int] | None:
    """Return the time that a process used in programs and in the kernel, in 100 ns."""
    times = _times(process)
    return None if times is None else (times[3], times[2])


def _times(process: int) -> Sequence[int] | None:
    times = (c_uint64 * 4)()
    places = [ctypes.cast(ctypes.byref(times, 8 * index), _P(c_uint64)) for index in range(4)]
    return list(times) if kernel32().GetProcessTimes(process, *places) else None


def now() -> int:
    """Return the time as a FILETIME."""
    filetime = c_uint64()
    kernel32().GetSystemTimeAsFileTime(ctypes.byref(filetime))
    return filetime.value


def basic(process: int) -> BasicInformation | None:
    """Read the pid, the parent's pid and the address of the PEB."""
    found = BasicInformation()
    status = ntdll().NtQueryInformationProcess(
        process, 0, ctypes.byref(found), ctypes.sizeof(found), None
    )
    return None if status else found


def granted(handle: int) -> int:
    """Return the rights of a handle; security software may remove some."""
    found = ObjectInformation()
    ntdll().NtQueryObject(handle, 0, ctypes.byref(found), ctypes.sizeof(found), None)
    return int(found.granted)


def image(process: int) -> str | None:
    """Return the name of the program that a process runs."""
    path, length = ctypes.create_unicode_buffer(LONGEST_PATH), c_uint32(LONGEST_PATH)
    found = kernel32().QueryFullProcessImageNameW(process, 0, path, ctypes.byref(length))
    return ntpath.basename(path.value) if found else None


def terminate(process: int, code: int) -> bool:
    """End a process; return False if it is protected, or dying already."""
    return bool(kernel32().TerminateProcess(process, code))


def suspend(process: int) -> bool:
    """Stop all threads of a process; suspensions are counted."""
    return not ntdll().NtSuspendProcess(process)


def resume(process: int) -> bool:
    """Take one :func:`suspend` back."""
    return not ntdll().NtResumeProcess(process)


def exit_code(process: int) -> int | None:
    """Return the exit code of a dead process; 259 (STILL_ACTIVE) if it lives."""
    code = c_uint32()
    return code.value if kernel32().GetExitCodeProcess(process, ctypes.byref(code)) else None


def event() -> int:
    """Make an event that ends one wait each time it is set.

    Raises:
        OSError: there is no memory for it.
    """
    handle: int | None = kernel32().CreateEventW(None, 0, 0, None)
    if handle is None:
        raise error()
    return handle


def set_event(handle: int) -> None:
    """Set an event, which ends one wait."""
    kernel32().SetEvent(handle)


def wait(handles: Sequence[int], seconds: float) -> int | None:
    """Wait until one of at most 64 handles is signalled; return its index."""
    wanted = (c_void_p * len(handles))(*handles)
    # One millisecond more: Windows rounds down to its last tick.
    milliseconds = int(min(seconds * 1000 + 1, LONGEST_WAIT)) if seconds > 0 else 0
    found: int = kernel32().WaitForMultipleObjects(len(handles), wanted, 0, milliseconds)
    return None if found in (TIMED_OUT, FAILED) else found


def process_table() -> tuple[bytes, int]:
    """Read all processes; return the bytes, and the address that pointers in them refer to."""
    size = c_uint32(1 << 18)
    while True:
        room = ctypes.create_string_buffer(size.value)
        status = ntdll().NtQuerySystemInformation(
            SYSTEM_PROCESS_INFORMATION, room, len(room), ctypes.byref(size)
        )
        if status != INFO_LENGTH_MISMATCH:
            written = memoryview(room)[: 0 if status else size.value]  # room.raw would copy all
            return bytes(written), ctypes.addressof(room)
        size.value += size.value // 4  # more may start until the next try


def read_memory(process: int, address: int, size: int) -> bytes | None:
    """Read from the memory of a process; None where that is refused."""
    room, got = ctypes.create_string_buffer(size), c_size_t()
    read = kernel32().ReadProcessMemory(process, address, room, size, ctypes.byref(got))
    return room.raw if read and got.value == size else None


def windows_folder() -> str:
    """Return the Windows folder; unlike SystemRoot it cannot be changed by an environment."""
    path = ctypes.create_unicode_buffer(LONGEST_PATH)
    kernel32().GetSystemWindowsDirectoryW(path, LONGEST_PATH)
    return path.value
