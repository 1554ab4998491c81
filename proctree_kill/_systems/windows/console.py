"""Consoles, their process groups, and windows: the ways of a polite request."""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import threading
import time
from collections.abc import Iterable, Mapping
from ctypes import c_int32, c_size_t, c_uint32, c_void_p
from typing import Any, NamedTuple

from . import win32

CTRL_BREAK_EVENT = 1
STD_INPUT_HANDLE = 0xFFFFFFF6
ENABLE_LINE_INPUT = 0x0002
ENABLE_VIRTUAL_TERMINAL_PROCESSING = 0x0004
READ = win32.PROCESS_QUERY_LIMITED_INFORMATION | win32.PROCESS_VM_READ
PARAMETERS_OFFSET = 0x20
"""Where a PEB has the pointer to its parameters (winternl.h), with pointers of 64 bits."""
FLAGS_OFFSET, GROUP_OFFSET = 0x18, 0x408
"""Where these have ConsoleFlags and ProcessGroupId: undocumented, since Windows 8 (phnt: ntrtl.h).

A group of which no process in our console is known is not used.
"""
CTRL_C_IS_OFF = 1  # in ConsoleFlags; inherited, and set for the leader of a new group
POINTER = ctypes.sizeof(c_void_p)

_KERNEL32: Mapping[str, tuple[Any, ...]] = {
    "GenerateConsoleCtrlEvent": (c_int32, c_uint32, c_uint32),
    "GetConsoleMode": (c_int32, c_void_p, c_void_p),
    "GetConsoleProcessList": (c_uint32, c_void_p, c_uint32),
    "GetConsoleWindow": (c_void_p,),
    "GetStdHandle": (c_void_p, c_uint32),
    "SetConsoleMode": (c_int32, c_void_p, c_uint32),
}
_USER32: Mapping[str, tuple[Any, ...]] = {
    "EnumWindows": (c_int32, c_void_p, c_size_t),
    "GetWindowThreadProcessId": (c_uint32, c_void_p, c_void_p),
}


@functools.cache
def _kernel32() -> Any:  # noqa: ANN401 - untyped functions
    """Return the functions about consoles."""
    return win32.load("kernel32", _KERNEL32)


@functools.cache
def _user32() -> Any:  # noqa: ANN401 - untyped functions
    """Return the functions about windows."""
    return win32.load("user32", _USER32)


class ConsoleGroups(NamedTuple):
    """The console of this process at one moment.

    Args:
        caller: the number of this process.
        groups: each process on the console with its console group, None where that is unknown.
    """

    caller: int
    groups: Mapping[int, int | None]

    def reach(
        self, pids: Iterable[int], others: Iterable[int] = ()
    ) -> tuple[dict[int, list[int]], dict[int, str]]:
        """Find the console groups of these to which CTRL_BREAK can be sent.

        It reaches only them, or the others, which are to be asked as well.

        A number without a group could make it an event for the whole console, and so for this
        process: a group counts only if its leader is among the processes to ask, or is dead.

        Returns:
            The processes of each group, and for each other process why it cannot be reached.
        """
        pids = set(pids)
        asked = pids.union(others)
        reached: dict[int, list[int]] = {}
        reasons: dict[int, str] = {}
        for pid in asked:
            group = self.groups.get(pid)
            if reason := self._obstacle(pid, group, asked):
                reasons[pid] = reason
            elif group is not None:
                reached.setdefault(group, []).append(pid)
        wanted = {self.groups.get(pid) for pid in pids}
        return {group: found for group, found in reached.items() if group in wanted}, reasons

    def _obstacle(self, pid: int, group: int | None, asked: set[int]) -> str | None:
        """Return why CTRL_BREAK would not reach a process, or would reach one that is not asked."""
        ours = self.groups.get(self.caller)
        # A dead leader has no entry; its group lives on while it has members. 0 is no group.
        leader = self.groups.get(group, group) if group else None
        others = {other for other, its in self.groups.items() if its in (group, None)} - asked
        obstacles = {
            "the caller has no console": not self.groups,
            "it does not share the caller's console": pid not in self.groups,
            "its console group cannot be read": group is None or ours is None,
            "it is in the caller's own console group": group == ours,
            "the leader of its console group is not asked": leader is None
            or (group in self.groups and (leader != group or group not in asked)),
            "its console group has others in it": bool(others),
        }
        return next((reason for reason, holds in obstacles.items() if holds), None)


def read_groups(caller: int) -> ConsoleGroups:
    """Read the processes that share our console, and their groups."""
    return ConsoleGroups(caller, {pid: _group(pid) for pid in _console_pids()})


def gets_ctrl_c() -> bool:
    """Whether this process has a console, and Ctrl-C is not switched off for it."""
    flags = _parameter(os.getpid(), FLAGS_OFFSET) or 0
    return bool(_console_pids()) and not flags & CTRL_C_IS_OFF


def send_break(group: int) -> bool:
    """Send CTRL_BREAK to a group of our console."""
    return bool(_kernel32().GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, group))


def send_breaks(groups: Iterable[int], until: float) -> dict[int, bool]:
    """Send CTRL_BREAK to groups of our console, all at once.

    The call waits for the console and its processes, and takes no timeout (under Wine it may wait
    for ever if a process is about to die): so a thread makes it, and is left behind at the time.

    Args:
        groups: their numbers.
        until: when to give up, on the monotonic clock.

    Returns:
        For each group whether it was sent; a group is missing if that is not known in time.
    """
    answers: dict[int, bool] = {}
    senders = [
        threading.Thread(
            target=lambda group=group: answers.__setitem__(group, send_break(group)),
            name="proctree_kill break",
            daemon=True,
        )
        for group in groups
    ]
    for sender in senders:
        try:
            sender.start()
        except RuntimeError:  # no thread starts while the interpreter exits
            sender.run()
    for sender in senders:
        if sender.ident is not None:
            sender.join(max(0.0, until - time.monotonic()))
    return dict(answers)


def reads_lines() -> bool:
    """Whether the standard input is read in lines; True also where it is no console."""
    mode = c_uint32(ENABLE_LINE_INPUT)
    _kernel32().GetConsoleMode(_kernel32().GetStdHandle(STD_INPUT_HANDLE), ctypes.byref(mode))
    return bool(mode.value & ENABLE_LINE_INPUT)


def switch_escapes_on(fd: int) -> bool:
    """Let the console of a descriptor act on escape codes; return whether it does (Windows 10)."""
    handle = importlib.import_module("msvcrt").get_osfhandle(fd)
    mode = c_uint32()
    if not _kernel32().GetConsoleMode(handle, ctypes.byref(mode)):
        return False
    return bool(_kernel32().SetConsoleMode(handle, mode.value | ENABLE_VIRTUAL_TERMINAL_PROCESSING))


def owners_of_windows() -> set[int]:
    """Return the processes with a window, without the owner of our console's window."""
    found: set[int] = set()
    callback = win32.callback(c_int32, c_void_p, c_size_t)

    def note(window: int, _extra: int) -> int:
        found.add(_owner(window))
        return 1

    _user32().EnumWindows(callback(note), 0)
    ours = _kernel32().GetConsoleWindow()
    return found - {_owner(ours)} if ours else found


def _owner(window: int) -> int:
    pid = c_uint32()
    _user32().GetWindowThreadProcessId(window, ctypes.byref(pid))
    return pid.value  # 0 if the window is gone


def _console_pids() -> list[int]:
    """List the processes on our console, this one included; none where there is no console."""
    room = 64
    while True:
        pids = (c_uint32 * room)()
        count: int = _kernel32().GetConsoleProcessList(pids, room)
        if count <= room:
            return list(pids[:count])
        room = count + 8  # more may come until the next try


def _group(pid: int) -> int | None:
    """Read the console group of a process; None where it cannot be known."""
    return _parameter(pid, GROUP_OFFSET)


def _parameter(pid: int, offset: int) -> int | None:
    """Read one of the parameters of a process; None where it cannot be known."""
    if ctypes.sizeof(ctypes.c_uint64) != POINTER:  # the offsets are those of 64 bits
        return None
    try:
        handle = win32.open_process(pid, READ)
    except PermissionError:
        return None
    if handle is None:
        return None
    with win32.closing(handle):
        basic = win32.basic(handle)
        if basic is None:
            return None
        parameters = win32.read_memory(handle, basic.peb + PARAMETERS_OFFSET, 8)
        if parameters is None:
            return None
        found = win32.read_memory(handle, int.from_bytes(parameters, "little") + offset, 4)
    return None if found is None else int.from_bytes(found, "little")
