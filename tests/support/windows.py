"""A Windows without processes: its calls return what a test scripted.

Pids are multiples of four, as on Windows, and above those of Linux.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from proctree_kill._systems.windows import console as windows_console
from proctree_kill._systems.windows import handles as windows_handles
from proctree_kill._systems.windows import process_table, win32
from proctree_kill._systems.windows.console import ConsoleGroups
from proctree_kill._systems.windows.process_table import ProcessTable, Row
from proctree_kill._systems.windows.taskkill import Answer

FIRST = 5_000_000


@dataclass(eq=False, kw_only=True)
class Process:
    """A process, and what it allows.

    Args:
        pid: its number.
        ppid: its parent's number.
        start: when it was created.
        name: of its program.
        opens: the rights for which it can be opened; None for all.
        grants: the rights that a handle has then; security software takes some away.
        dying: whether it refuses because it ends already.
        dead: whether it has ended.
        listed: whether the process table has it.
        code: its exit code.
        group: its console group where it shares ours.
        window: whether it has one.
        suspended: how often.
        used: its CPU time in programs and in the kernel, in 100 ns.
    """

    pid: int
    ppid: int
    start: int
    name: str = "node.exe"
    opens: int | None = None
    grants: int = -1
    dying: bool = False
    dead: bool = False
    listed: bool = True
    code: int | None = None
    group: int | None = None
    window: bool = False
    suspended: int = 0
    used: tuple[int, int] = (0, 0)

    def end(self, code: int) -> None:
        """End it; its number is free when the last handle is closed."""
        self.dead, self.listed, self.code = True, False, code


@dataclass
class Windows:
    """What :mod:`_win32` and :mod:`_console` would ask.

    Attributes:
        handles: the process of each handle.
        breaks: the groups that CTRL_BREAK was sent to.
        tables: how often the process table was read.
    """

    caller: int
    processes: list[Process] = field(default_factory=list)
    handles: dict[int, Process] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    tables: int = 0

    def __post_init__(self) -> None:
        self._numbers = itertools.count(FIRST, 4)
        self._next = itertools.count(8, 4)

    def spawn(self, parent: Process | None = None, /, **facts: object) -> Process:
        """Start a process; one tick later than the last."""
        number = next(self._numbers)
        ppid = parent.pid if parent else self.caller
        process = Process(pid=number, ppid=ppid, start=number)
        for name, value in facts.items():
            setattr(process, name, value)
        self.processes.append(process)
        return process

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace the calls of the library."""
        for name in (
            *("open_process", "close", "created", "cpu", "basic", "granted", "image", "terminate"),
            *("suspend", "resume", "exit_code", "event", "set_event", "wait", "process_of_thread"),
        ):
            monkeypatch.setattr(win32, name, getattr(self, name))
        monkeypatch.setattr(process_table, "read", self.read)
        monkeypatch.setattr(windows_console, "read_groups", self.console)
        monkeypatch.setattr(windows_console, "send_break", self.send_break)
        monkeypatch.setattr(windows_console, "owners_of_windows", self.owners_of_windows)

    def open_process(self, pid: int, rights: int) -> int | None:
        """Open the process that has a number, or had it while a handle to it is open."""
        found = [process for process in self.processes if process.pid == pid]
        held = [
            process for process in found if not process.dead or process in self.handles.values()
        ]
        if not held:
            return None
        if held[-1].opens is not None and rights & ~held[-1].opens:
            raise PermissionError
        return self._handle(held[-1])

    def close(self, handle: int) -> None:
        del self.handles[handle]

    def created(self, handle: int) -> int | None:
        return self.handles[handle].start

    def cpu(self, handle: int) -> tuple[int, int]:
        return self.handles[handle].used

    def basic(self, handle: int) -> win32.BasicInformation:
        return win32.BasicInformation(ppid=self.handles[handle].ppid)

    def granted(self, handle: int) -> int:
        return self.handles[handle].grants

    def image(self, handle: int) -> str | None:
        return self.handles[handle].name

    def terminate(self, handle: int, code: int) -> bool:
        process = self.handles[handle]
        allowed = process.grants & win32.PROCESS_TERMINATE and not (process.dead or process.dying)
        if allowed:
            process.end(code)
        return bool(allowed)

    def suspend(self, handle: int) -> bool:
        process = self.handles[handle]
        if process.dead or not process.grants & win32.PROCESS_SUSPEND_RESUME:
            return False
        process.suspended += 1
        return True

    def resume(self, handle: int) -> bool:
        self.handles[handle].suspended -= 1
        return True

    def exit_code(self, handle: int) -> int | None:
        return self.handles[handle].code

    def event(self) -> int:
        """Make an event: a process that is dead while it is set."""
        return self._handle(Process(pid=0, ppid=0, start=0))

    def set_event(self, handle: int) -> None:
        self.handles[handle].dead = True

    def wait(self, handles: Sequence[int], seconds: float) -> int | None:  # noqa: ARG002 - here nothing happens meanwhile
        """Return the index of a signalled handle; an event is reset by that."""
        assert len(handles) <= win32.MAX_WAIT_HANDLES
        for index, handle in enumerate(handles):
            process = self.handles[handle]
            if process.dead:
                process.dead = bool(process.pid)
                return index
        return None

    def process_of_thread(self, tid: int) -> int | None:
        """Return the process of a thread; each process has a thread of its own number and 400."""
        return next((process.pid for process in self.processes if process.pid + 400 == tid), None)

    def read(self) -> ProcessTable:
        self.tables += 1
        return ProcessTable(self._rows())

    def console(self, caller: int) -> ConsoleGroups:
        shared = {
            process.pid: process.group
            for process in self.processes
            if process.group and not process.dead
        }
        return ConsoleGroups(caller, {caller: caller, **shared})

    def send_break(self, group: int) -> bool:
        self.breaks.append(group)
        return True

    def owners_of_windows(self) -> set[int]:
        return {process.pid for process in self.processes if process.window and not process.dead}

    def _rows(self) -> Iterator[Row]:
        for process in self.processes:
            if process.listed:
                yield Row(process.pid, process.ppid, process.start, process.name)

    def _handle(self, process: Process) -> int:
        handle = next(self._next)
        self.handles[handle] = process
        return handle


@dataclass
class Tools:
    """A taskkill and a tasklist with scripted answers.

    Args:
        windows: the system that they see.
        close: the answer to a request to close windows, by number; the others are done.
        force: the answer to the force, by number; the others are done.
        asked: what was run: a verb and the numbers.
    """

    windows: Windows
    close: dict[int, Answer] = field(default_factory=dict)
    force_answers: dict[int, Answer] = field(default_factory=dict)
    asked: list[tuple[str, list[int]]] = field(default_factory=list)

    def ask_to_close(self, pids: list[int], until: float) -> Answer:  # noqa: ARG002 - it takes no time
        self.asked.append(("close", pids))
        return next((self.close[pid] for pid in pids if pid in self.close), Answer.DONE)

    def force(self, pids: list[int], until: float) -> Answer:  # noqa: ARG002 - as above
        """End those that are not protected."""
        self.asked.append(("force", pids))
        for process in self.windows.processes:
            if process.pid in pids and process.pid not in self.force_answers:
                process.end(windows_handles.FORCE_CODE)
        answers = (self.force_answers[pid] for pid in pids if pid in self.force_answers)
        return next(answers, Answer.DONE)

    def lists(self, pid: int, until: float) -> bool | None:  # noqa: ARG002 - as above
        self.asked.append(("list", [pid]))
        return any(process.pid == pid and not process.dead for process in self.windows.processes)
