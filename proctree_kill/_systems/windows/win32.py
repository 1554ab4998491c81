"""Windows' calls about processes, by ctypes: handles in, plain values out.

Widths are fixed, so that the layouts can be checked on every system,
and no library is loaded before the first call.
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

MOST_WAITED_FOR = 64
"""MAXIMUM_WAIT_OBJECTS: so many handles fit into one wait."""
TIMED_OUT, FAILED = 0x102, 0xFFFFFFFF
LONGEST_WAIT = 0xFFFFFFFE
"""Milliseconds; one more means for ever."""
NO_SUCH_PROCESS = 87
"""ERROR_INVALID_PARAMETER, which OpenProcess gives for a number that is no process's."""
ACCESS_DENIED = 5
SYSTEM_PROCESS_INFORMATION = 5
INFO_LENGTH_MISMATCH = 0xC0000004
LONGEST_PATH = 32768

_P = ctypes.POINTER
_ctypes: Any = ctypes  # WinDLL and what is around it exist on Windows only
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


def load(name: str, functions: Mapping[str, tuple[Any, ...]]) -> Any:  # noqa: ANN401 - as the functions are
    """Load a library and declare what is used of it."""
    library = _ctypes.WinDLL(name, use_last_error=True)
    for function, (result, *arguments) in functions.items():
        found = getattr(library, function)
        found.restype, found.argtypes = result, arguments
    return library


@functools.cache
def kernel32() -> Any:  # noqa: ANN401 - as load()
    """Return what is documented of processes."""
    return load("kernel32", _KERNEL32)


@functools.cache
def ntdll() -> Any:  # noqa: ANN401 - as load()
    """Return what is called by its native name."""
    return load("ntdll", _NTDLL)


def last_error() -> int:
    """Return the code of what went wrong in the last call of this thread."""
    return int(_ctypes.get_last_error())


def error() -> OSError:
    """Return what went wrong in the last call of this thread, to be raised."""
    found: OSError = _ctypes.WinError(last_error())
    return found


def callback(result: Any, *arguments: Any) -> Any:  # noqa: ANN401 - types of C
    """Return the type of a function that Windows calls."""
    return _ctypes.WINFUNCTYPE(result, *arguments)


def open_process(pid: int, rights: int) -> int | None:
    """Open a process; None where the number is nobody's.

    Raises:
        PermissionError: it is protected.
    """
    handle: int | None = kernel32().OpenProcess(rights, 0, pid)
    if handle is None and last_error() == ACCESS_DENIED:
        raise PermissionError
    return handle


def process_of_thread(tid: int) -> int | None:
    """Return the process of a thread; None where the number is no thread's."""
    handle = kernel32().OpenThread(SYNCHRONIZE | 0x0800, 0, tid)  # THREAD_QUERY_LIMITED_INFORMATION
    if handle is None:
        return None
    with closing(handle):
        return kernel32().GetProcessIdOfThread(handle) or None


def close(handle: int) -> None:
    """Give a handle back."""
    kernel32().CloseHandle(handle)


@contextlib.contextmanager
def closing(handle: int) -> Iterator[int]:
    """Give a handle back at the end."""
    try:
        yield handle
    finally:
        close(handle)


def created(process: int) -> int | None:
    """Return when a process was created, as a FILETIME: 100 ns since 1601."""
    times = (c_uint64 * 4)()
    places = [ctypes.cast(ctypes.byref(times, 8 * index), _P(c_uint64)) for index in range(4)]
    return times[0] if kernel32().GetProcessTimes(process, *places) else None


def now() -> int:
    """Return the time as a FILETIME."""
    moment = c_uint64()
    kernel32().GetSystemTimeAsFileTime(ctypes.byref(moment))
    return moment.value


def basic(process: int) -> BasicInformation | None:
    """Read the numbers of a process and its parent, and where its PEB is."""
    found = BasicInformation()
    status = ntdll().NtQueryInformationProcess(
        process, 0, ctypes.byref(found), ctypes.sizeof(found), None
    )
    return None if status else found


def granted(handle: int) -> int:
    """Return the rights that a handle has; security software may take some away."""
    found = ObjectInformation()
    ntdll().NtQueryObject(handle, 0, ctypes.byref(found), ctypes.sizeof(found), None)
    return int(found.granted)


def image(process: int) -> str | None:
    """Return the name of the program that a process runs."""
    path, length = ctypes.create_unicode_buffer(LONGEST_PATH), c_uint32(LONGEST_PATH)
    found = kernel32().QueryFullProcessImageNameW(process, 0, path, ctypes.byref(length))
    return ntpath.basename(path.value) if found else None


def terminate(process: int, code: int) -> bool:
    """End a process; False where it is protected, or dying already."""
    return bool(kernel32().TerminateProcess(process, code))


def suspend(process: int) -> bool:
    """Stop all threads of a process; it is counted how often."""
    return not ntdll().NtSuspendProcess(process)


def resume(process: int) -> bool:
    """Take one :func:`suspend` back."""
    return not ntdll().NtResumeProcess(process)


def exit_code(process: int) -> int | None:
    """Return the exit code of a dead process, of a living one 259 (STILL_ACTIVE)."""
    code = c_uint32()
    return code.value if kernel32().GetExitCodeProcess(process, ctypes.byref(code)) else None


def event() -> int:
    """Make an event that wakes one wait each time it is set.

    Raises:
        OSError: there is no memory for it.
    """
    handle: int | None = kernel32().CreateEventW(None, 0, 0, None)
    if handle is None:
        raise error()
    return handle


def set_event(handle: int) -> None:
    """Wake one wait."""
    kernel32().SetEvent(handle)


def wait(handles: Sequence[int], seconds: float) -> int | None:
    """Wait until one of at most 64 is signalled; return the index of the first that is."""
    wanted = (c_void_p * len(handles))(*handles)
    # One more than the time that is left: it is rounded down to the last tick.
    milliseconds = int(min(seconds * 1000 + 1, LONGEST_WAIT)) if seconds > 0 else 0
    found: int = kernel32().WaitForMultipleObjects(len(handles), wanted, 0, milliseconds)
    return None if found in (TIMED_OUT, FAILED) else found


def process_table() -> tuple[bytes, int]:
    """Read everybody, and where the copy of it was that the pointers in it mean."""
    size = c_uint32(1 << 18)
    while True:
        room = ctypes.create_string_buffer(size.value)
        status = ntdll().NtQuerySystemInformation(
            SYSTEM_PROCESS_INFORMATION, room, len(room), ctypes.byref(size)
        )
        if status != INFO_LENGTH_MISMATCH:
            return (b"" if status else room.raw[: size.value]), ctypes.addressof(room)
        size.value += size.value // 4  # more may be born until the next try


def read_memory(process: int, address: int, size: int) -> bytes | None:
    """Read from the memory of a process; None where it does not let us."""
    room, got = ctypes.create_string_buffer(size), c_size_t()
    read = kernel32().ReadProcessMemory(process, address, room, size, ctypes.byref(got))
    return room.raw if read and got.value == size else None


def windows_folder() -> str:
    """Return what SystemRoot says in an environment that nobody has changed."""
    path = ctypes.create_unicode_buffer(LONGEST_PATH)
    kernel32().GetSystemWindowsDirectoryW(path, LONGEST_PATH)
    return path.value
