"""Signals as interrupts, and as a queue that is read without polling."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import NoReturn

LONGEST_WAIT = 86400.0  # seconds of one wait; the limits of the systems are higher
CLEAN_ENDS = ("SIGHUP", "SIGINT", "SIGPIPE", "SIGTERM")
"""The signals by which a service ends cleanly (systemd.service(5), SuccessExitStatus)."""
INTERRUPTS = ("SIGTERM", "SIGHUP", "SIGBREAK")
"""The signals that end a program, besides Ctrl-C; SIGBREAK is Windows' Ctrl-Break."""


class SignalCode(int):
    """The exit code that a shell shows for a signal: 128 and its number."""

    def end_process(self) -> None:
        """End this process by the signal, if that is an ordinary end; else return.

        A script of bash stops at Ctrl-C only where its command ended by SIGINT, and systemd
        takes these signals for a clean end, but not the exit codes.
        """
        number = self - 128
        if not hasattr(os, "WTERMSIG") or number not in signal_numbers(CLEAN_ENDS):
            return
        atexit._run_exitfuncs()  # noqa: SLF001 - a signal would skip them
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # pid 1 of a namespace goes on (pid_namespaces(7))


class SignalQueue:
    """The numbers of the signals that came, and other numbers, in their order.

    The interpreter writes each signal into a socket as it arrives (``signal.set_wakeup_fd``),
    so that none is lost between a look and a wait.
    """

    def __init__(self, reader: socket.socket, writer: socket.socket) -> None:
        """Read from one end of a socket pair and write to the other."""
        self._reader = reader
        self._writer = writer
        self._unread = bytearray()

    def put(self, number: int) -> None:
        """Add a number that is no signal; callable from any thread."""
        with contextlib.suppress(OSError):  # the queue is closed
            self._writer.send(bytes([number]))

    def get(self, until: float | None = None) -> int | None:
        """Wait for the next number.

        Args:
            until: when to give up, on the monotonic clock; None is never.

        Returns:
            The number; None when the time is over.
        """
        while not self._unread:
            left = LONGEST_WAIT if until is None else until - time.monotonic()
            self._reader.settimeout(max(0.0, min(left, LONGEST_WAIT)))
            try:
                self._unread += self._reader.recv(4096)
            except (TimeoutError, BlockingIOError):
                if left <= LONGEST_WAIT and until is not None:
                    return None
        return self._unread.pop(0)


@contextlib.contextmanager
def signal_queue(names: Iterable[str]) -> Iterator[SignalQueue]:
    """Collect signals in a queue, in the main thread."""
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.settimeout(0)  # set_wakeup_fd insists
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            # the interpreter writes the number, the handler has nothing to do
            with _handled(names, lambda *_: None):
                yield SignalQueue(reader, writer)
        finally:
            signal.set_wakeup_fd(before)


def keep_exit_codes() -> None:
    """Undo an ignored SIGCHLD, which is inherited: the kernel would drop exit codes (wait(2))."""
    number = getattr(signal, "SIGCHLD", None)
    if number is not None and signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt for each signal that ends a program.

    Its default action would leave a frozen tree behind.
    """
    with _handled(INTERRUPTS, _interrupt):
        yield


def interrupt_code(interrupt: KeyboardInterrupt) -> SignalCode:
    """Return the exit code of a program that was interrupted."""
    return SignalCode(128 + (interrupt.args[0] if interrupt.args else signal.SIGINT))


def signal_numbers(names: Iterable[str]) -> list[int]:
    """Return the numbers of the signals that this system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


@contextlib.contextmanager
def _handled(
    names: Iterable[str], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in signal_numbers(names)}
    # ignored stays ignored (nohup); None was not set from Python, and cannot be restored
    kept = (signal.SIG_IGN, None)
    changed = {number: old for number, old in before.items() if old not in kept}
    for number in changed:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in changed.items():
            signal.signal(number, old)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(number)
