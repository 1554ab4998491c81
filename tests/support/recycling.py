"""Recycling pids on purpose: a member dies during a kill, and a stranger is given its number.

This takes a pid namespace of our own, where only this code forks and the last pid may be set.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, Self

NEXT_PID = Path("/proc/sys/kernel/ns_last_pid")
FORKS = 1000  # attempts to get a number before it counts as taken for good


class StrangerMaker:
    """A process that starts strangers under given numbers.

    It is forked before the kill begins, because a thread should not fork.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._pid = os.fork()
        if not self._pid:
            ours.close()
            _serve(theirs)
        theirs.close()
        self._line = ours

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._line.close()
        os.waitpid(self._pid, 0)

    def start(self, pid: int) -> None:
        """Start a stranger that has this number, is our child, and leads a session."""
        self._line.sendall(str(pid).encode())
        started = int(self._line.recv(64))
        assert started == pid, f"the stranger was started as {started}, not as {pid}"


class Stranger:
    """A process with the former number of a member; signals sent to it stay pending."""

    def __init__(self, pid: int) -> None:
        """Read which process has the number now."""
        self.pid = pid

    def harm(self) -> str:
        """Return what was done to the stranger; empty if nothing was.

        It blocks every signal: all but SIGKILL and SIGSTOP stay pending, where this reads them.
        """
        try:
            status = dict(
                line.split(":\t", 1)
                for line in Path(f"/proc/{self.pid}/status").read_text().splitlines()
            )
        except FileNotFoundError:
            return "killed and reaped"
        if status["State"][0] in "ZT":
            return f"state {status['State']}"
        pending = int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)
        return f"pending {pending:#x}" if pending else ""

    def end(self) -> None:
        """Kill and reap it, unless that was done."""
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def recycle(pid: int, maker: StrangerMaker) -> Stranger:
    """Kill a process, wait until its number is free, and give it to a stranger."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    while _is_taken(pid):
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        os.sched_yield()
    maker.start(pid)
    return Stranger(pid)


def calls_of_a_kill() -> Iterator[tuple[object, str]]:
    """Name the system calls by which a kill sees and acts."""
    import fcntl  # noqa: PLC0415 - not on every system

    acts = "getpgid getsid kill killpg listdir open pidfd_open read stat waitid waitpid"
    yield fcntl, "ioctl"
    yield select, "poll"
    yield signal, "pidfd_send_signal"
    for name in acts.split():
        yield os, name


def _is_taken(pid: int) -> bool:
    """Whether a number has an owner, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _serve(line: socket.socket) -> NoReturn:
    """Start strangers until the line is closed."""
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while wanted := line.recv(64):
            line.sendall(str(_start(int(wanted), line)).encode())
    finally:
        os._exit(0)


def _start(pid: int, line: socket.socket) -> int:
    """Fork a process that forks the stranger and exits: the first process adopts the stranger."""
    reading, writing = os.pipe()
    between = os.fork()
    if not between:
        _fork_as(pid)
        os.setsid()
        line.close()
        os.write(writing, str(os.getpid()).encode())
        while True:
            signal.pause()
    os.close(writing)
    os.waitpid(between, 0)
    started = int(os.read(reading, 64) or b"0")
    os.close(reading)
    return started


def _fork_as(pid: int) -> None:
    """Return in a child that has this number; the parent exits.

    The kernel forgets a process a moment before it frees its number (release_task, Linux 6.15).
    """
    for _ in range(FORKS):
        NEXT_PID.write_text(str(pid - 1))
        child = os.fork()
        if not child and os.getpid() == pid:
            return
        if not child or child == pid:
            os._exit(0)
        os.waitpid(child, 0)
    os._exit(1)
