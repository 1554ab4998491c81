"""Faults: one system call of a call of the library fails, or one bytecode of it is interrupted.

What the library calls through Python's modules is replaced by wrappers that count the calls below
a frame of the library, and have one of them raise. Each case runs in a forked child, which starts
what the scene needs, arms the fault, acts, and looks for what must never be there.
"""

from __future__ import annotations

import _thread
import errno
import fcntl
import functools
import io
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dis import opname
from pathlib import Path
from types import BuiltinFunctionType, FrameType, ModuleType
from typing import Any, NamedTuple

from proctree_kill import Containment

from .callers import apart
from .cgroups import library_left
from .pidfds import open_pidfd
from .times import BOUND

PACKAGE = "proctree_kill"
ERRORS = (errno.EMFILE, errno.ENOMEM, errno.EPERM, errno.EINTR)
WATCHDOG = 60.0  # seconds after which a case hangs; the longest kill of a scene takes 6
# Seconds within which a guard that nothing holds must have read that its pipe has ended.
LEAVING = BOUND
VARIABLE = "PROCTREE_FAULTS"  # the environment variable that everything carries which a case starts
MODULES: tuple[ModuleType, ...] = (os, signal, select, fcntl, resource)
# Python runs no handler right before these, at the end of a function: it looks for signals where a
# function begins, after a call of C, and where it jumps back. What comes after the last of these in
# a start is the documented gap between its return and the assignment.
NEVER = {"POP_TOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
# These ask no kernel, or are never refused.
CANNOT_FAIL = {
    *("_exit", "close", "closerange", "cpu_count", "fspath", "get_blocking", "getegid", "geteuid"),
    *("getgid", "getpid", "getppid", "getsignal", "getuid", "register_at_fork", "strerror"),
    *("sysconf", "umask", "valid_signals", "waitstatus_to_exitcode", "WIFSIGNALED", "WTERMSIG"),
    *("WIFEXITED", "WEXITSTATUS", "WIFSTOPPED", "WSTOPSIG", "eventfd_write", "eventfd_read"),
}
SENDS = {"kill", "killpg", "pidfd_send_signal"}


class Interruption(BaseException):
    """What a signal handler of the caller raises."""


class Case(NamedTuple):
    """The result of one position.

    Args:
        calls: what was called, in order: the function, and the lines of the library that led there.
        hit: the call that failed; None where there were fewer.
        said: what the act returned or raised, as text.
        faults: the promises that were broken.
    """

    calls: list[str]
    hit: str | None
    said: str
    faults: list[str]


class Scene(NamedTuple):
    """What is done under a fault.

    Args:
        prepare: starts what the act needs, without a fault, in this folder.
        act: is given what that returned.
        starts: whether the act starts processes; what it returns is ended by ``end`` then.
        end: ends what the act started, without a fault.
    """

    prepare: Callable[[Path], Any]
    act: Callable[[Any], Any]
    starts: bool = False
    end: Callable[[Any], object] = lambda _: None


class Calls:
    """Counts the library's system calls and has one of them fail."""

    def __init__(self, position: int | None, error: int) -> None:
        self.made: list[str] = []
        self.touched = False
        self.hit: str | None = None
        self._position = position
        self._error = error
        self._lock = threading.Lock()

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Replace the functions for a while."""
        replaced: list[tuple[ModuleType, str, Any]] = [
            (module, name, found)
            for module in MODULES
            for name, found in vars(module).items()
            if isinstance(found, BuiltinFunctionType) and name not in CANNOT_FAIL
        ]
        replaced += [(subprocess, "_fork_exec", subprocess._fork_exec)]  # type: ignore[attr-defined] # private
        replaced += [(io, "open", io.open), (_thread, "start_new_thread", _thread.start_new_thread)]
        for module, name, found in replaced:
            setattr(module, name, self._wrap(name, found))
        try:
            yield
        finally:
            for module, name, found in replaced:
                setattr(module, name, found)

    def _wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - any function's
            where = " < ".join(_library(sys._getframe(1)))
            if not where:
                return function(*args, **options)
            self._count(name, where)
            if name in SENDS and args[1] not in (0, signal.SIGCONT):
                self.touched = True
            if name == "write" and args[1] == b"1" and _path(args[0]).endswith("cgroup.kill"):
                self.touched = True
            result = function(*args, **options)
            return _Poll(result, self._wrap) if name == "poll" and not args else result

        return call

    def _count(self, name: str, where: str) -> None:
        with self._lock:
            self.made.append(f"{name} in {where}")
            if len(self.made) - 1 != self._position:
                return
            self.hit = self.made[-1]
        if name == "start_new_thread":
            text = "can't start new thread"
            raise RuntimeError(text)
        raise OSError(self._error, os.strerror(self._error))


class _Poll:
    """A ``select.poll`` object whose wait can fail."""

    def __init__(self, real: Any, wrap: Callable[..., Any]) -> None:  # noqa: ANN401 - no type has a name
        self._real = real
        self.poll = wrap("poll(2)", real.poll)

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


class Opcodes:
    """Counts the bytecodes below a call in this thread and interrupts one of them."""

    touched = False

    def __init__(self, position: int | None) -> None:
        self.made: list[str] = []
        self.hit: str | None = None
        self._position = position

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Trace what is called from here; the caller's own bytecodes are not counted."""
        before = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # or Python 3.12 tells of none in other frames
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, what: str, _: object) -> Any:  # noqa: ANN401 - itself
        if not any(_library(frame)):
            return None
        frame.f_trace_opcodes = True
        if what == "opcode" and opname[frame.f_code.co_code[frame.f_lasti]] not in NEVER:
            self.made.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
            if len(self.made) - 1 == self._position:
                self.hit = self.made[-1]
                raise Interruption
        return self._trace


def run(scene: Scene, folder: Path, tracer: Callable[[], Calls | Opcodes]) -> Case:
    """Play a scene in a forked child, and end what is left of it.

    Args:
        scene: what is done.
        folder: an empty one for its records.
        tracer: makes what counts and fails.
    """
    token = uuid.uuid4().hex
    before = {*library_left()}
    try:
        case = apart(lambda: _play(scene, folder, tracer(), token), WATCHDOG)
    except TimeoutError:
        case = Case([], None, "nothing", ["it hangs"])
    rest = _carriers(token, guards=True)
    for pid in rest:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _leave(rest)
    if {*library_left()} - before:
        Containment.prepare().release()
    left = [path.name for path in {*library_left()} - before]
    return case._replace(faults=case.faults + [f"a cgroup is left: {name}" for name in left])


def _play(scene: Scene, folder: Path, tracer: Calls | Opcodes, token: str) -> Case:
    bystander = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    rest = threading.Event()
    thread = threading.Thread(target=rest.wait, daemon=True)
    thread.start()
    os.environ[VARIABLE] = token
    subject = scene.prepare(folder)
    carriers = _carriers(token)
    result, error = None, None
    try:
        with tracer.armed():
            result = scene.act(subject)
    except BaseException as raised:  # noqa: BLE001 - it is judged below
        error = raised
    faults = []
    alive = _carriers(token)
    if bystander.poll() is not None or _state(bystander.pid) == "T" or not thread.is_alive():
        faults.append("what is not ours was signalled")
    if stopped := [pid for pid in alive if _state(pid) == "T"]:
        faults.append(f"left stopped: {len(stopped)}")
    if scene.starts:
        if error is None:
            scene.end(result)
            alive = _carriers(token)
        if alive:
            faults.append(f"alive after a start: {len(alive)}")
        if not _leave(_carriers(token, guards=True)):
            faults.append("a guard without a tree is left")
    elif error is not None and tracer.touched and alive:
        faults.append(f"alive after an exception: {len(alive)} of {len(carriers)}")
    elif error is None and alive and _is_ok(result):
        faults.append(f"alive, and said to be dead: {len(alive)} of {len(carriers)}")
    bystander.kill()
    bystander.wait()
    return Case(tracer.made, tracer.hit, repr(error or result)[:200], faults)


def _leave(pids: list[int]) -> bool:
    """Wait for the ends of processes that end by themselves; return whether they did."""
    ended = True
    for pid in pids:
        with suppress(ProcessLookupError):
            descriptor = open_pidfd(pid)
            ended = bool(select.select([descriptor], [], [], LEAVING)[0]) and ended
            os.close(descriptor)
    return ended


def _is_ok(result: object) -> bool:
    """Whether a result says that the tree has ended."""
    return bool(getattr(result, "ok", getattr(result, "success", False)))


def _library(frame: FrameType | None) -> Iterator[str]:
    """Yield the lines of the library that led to a frame, the nearest first."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name == PACKAGE or name.startswith(PACKAGE + "."):
            yield f"{name.removeprefix(PACKAGE + '.')}.{frame.f_code.co_name}:{frame.f_lineno}"
        frame = frame.f_back


def _path(descriptor: int) -> str:
    with suppress(OSError):
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    return ""


def _carriers(token: str, *, guards: bool = False) -> list[int]:
    """List the living processes that carry the token: all but the guards, or these as well."""
    mark = f"{VARIABLE}={token}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and mark in (entry / "environ").read_bytes():
                is_guard = b"proctree_kill._guard" in (entry / "cmdline").read_bytes()
                if _state(int(entry.name)) not in "ZX" and (guards or not is_guard):
                    found.append(int(entry.name))
    return found


def _state(pid: int) -> str:
    """Return the letter of a process's state, X where there is none."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "X"
