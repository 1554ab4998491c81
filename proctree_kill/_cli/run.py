"""The command ``run``: a command, and the end of all that it started."""

from __future__ import annotations

import contextlib
import errno
import math
import signal
import threading
import time
from argparse import Namespace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from .._engine.killing import Killing
from .._engine.process import ExitWaiter
from .._models.errors import PolicyError
from .._models.policy import KillPolicy
from .._models.result import Fate, KillResult, SurvivorsError
from .._running.threads import WorkThread
from .._spawn.popen import TreePopen
from .._systems import terminal as terminal_of_ours
from .._systems.contract import Terminal
from .signals import SignalQueue
from .tables import outcomes, plain, verdict

if TYPE_CHECKING:
    from .screen import Screen

LEAVING = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGBREAK")
"""What asks us to leave, and the command with us; SIGBREAK is Windows' Ctrl-Break."""
HANDED_ON = (*LEAVING, "SIGUSR1", "SIGUSR2", "SIGWINCH")
"""What the command is told as well; SIGWINCH, too: some servers leave on it."""
KEYS = ("SIGINT", "SIGQUIT", "SIGBREAK", "SIGWINCH")
"""What a terminal sends by itself."""
HANGUP = getattr(signal, "SIGHUP", None)
ENDED, ALL_ENDED = 0, 255
"""News beside the signals: the command has ended; whoever was left has."""


class Exit(IntEnum):
    """What the exit code says, as that of timeout(1); all else is the command's own."""

    TIMEOUT = 124
    FAILED = 125
    NOT_EXECUTABLE = 126
    NOT_FOUND = 127


def run(options: Namespace, screen: Screen) -> int:
    """Run a command, end what it left behind, and return the exit code.

    Args:
        options: ``argv``, ``timeout``, ``grace``, ``settle`` and ``verbose``.
        screen: where failures are told, and more if that is asked for.
    """
    try:
        policy = KillPolicy().but(grace=options.grace, settle=options.settle)
    except PolicyError as error:
        screen.complain(str(error))
        return Exit.FAILED
    with terminal_of_ours() as terminal, SignalQueue(HANDED_ON) as signals:
        try:
            # whoever called us chose what is inherited: <(...) of a shell, a make's job server
            process = TreePopen(options.argv, close_fds=False, start_new_session=not terminal)
        except OSError as error:
            screen.complain(f"cannot run {options.argv[0]!r}: {error.strerror or error}")
            return start_failure(error)
        keeper = CommandRun(process, policy, signals, terminal)
        try:
            result = keeper.keep(options.timeout)
        except BaseException:
            process.stop(grace=0)
            raise
        terminal.reclaim(modes=keeper.reason is not None)
    if options.verbose:
        keeper.tell(result, screen)
    survivors = result is not None and not result.ok
    if result is not None and survivors:
        screen.complain(str(SurvivorsError(result)))
    return exit_code(process.returncode, keeper.reason, survivors=survivors)


def start_failure(error: OSError) -> Exit:
    """Say whether the command is missing, is no program, or we could not even fork."""
    if isinstance(error, FileNotFoundError):
        return Exit.NOT_FOUND
    if error.filename is not None or error.errno in (errno.EACCES, errno.ENOEXEC):
        return Exit.NOT_EXECUTABLE
    return Exit.FAILED


def exit_code(code: int | None, reason: int | None, *, survivors: bool) -> int:
    """Return our exit code.

    Args:
        code: the command's, negative for a signal; None if it lives.
        reason: our own where we ended it.
        survivors: whether somebody lives who was meant to die.
    """
    if survivors or (code is None and reason is None):
        return Exit.FAILED
    if reason is not None or code is None:
        return Exit.FAILED if reason is None else reason
    return code if code >= 0 else 128 - code


class CommandRun:
    """Keeps one command company until it is gone, and nobody of its tree is left.

    Attributes:
        reason: the exit code that says why we ended it; None where it ended by itself.
    """

    def __init__(
        self, process: TreePopen[Any], policy: KillPolicy, signals: SignalQueue, terminal: Terminal
    ) -> None:
        """Begin when the command has just started."""
        self.reason: int | None = None
        self._process = process
        self._policy = policy
        self._signals = signals
        self._terminal = terminal
        self._start = time.monotonic()
        self._seconds = 0.0
        self._leaving = _numbers(LEAVING)
        self._keys = _numbers(KEYS)

    def keep(self, timeout: float | None) -> KillResult | None:
        """Wait for the command, then end who is left.

        Args:
            timeout: seconds that the command has; None is for ever.

        Returns:
            What became of those who were left; None where nobody was.
        """
        with ExitWaiter(self._process.pid) as waiter:
            watch = threading.Thread(target=self._watch, args=(waiter,), daemon=True)
            watch.start()
            try:
                grace = self._wait(math.inf if timeout is None else self._start + timeout)
                self._seconds = time.monotonic() - self._start
                return self._end(grace)
            finally:
                waiter.wake()
                watch.join()

    def tell(self, result: KillResult | None, screen: Screen) -> None:
        """Say how it ended."""
        screen.complain(f"{self._told()} after {self._seconds:.2f} s")
        if result is None:
            screen.complain("nobody was left")
            return
        left = tuple(one for one in result.outcomes if one.fate != Fate.ALREADY_GONE)
        told = result.model_copy(update={"outcomes": left or result.outcomes})
        for line in plain(outcomes(told)):
            screen.note(line)
        screen.complain(verdict(told))

    def _told(self) -> str:
        """Say why the command came to its end."""
        if self.reason == Exit.TIMEOUT:
            return "the time was over"
        if self.reason is not None:
            return f"{signal.Signals(self.reason - 128).name} came"
        code = self._process.returncode
        if code < 0:
            return f"the command was ended by {signal.Signals(-code).name}"
        return f"the command ended with exit code {code}"

    def _watch(self, waiter: ExitWaiter) -> None:
        """Announce the end of the command."""
        waiter.wait()
        self._signals.put(ENDED)

    def _wait(self, until: float) -> float:
        """Wait until the command ends or must be ended; return the grace of who is left then."""
        while (number := self._signals.get(until)) != ENDED:
            if number is None:
                if self.reason is not None:
                    return 0
                self.reason = Exit.TIMEOUT
                return self._policy.grace
            if self._insists(number):
                return 0
            if self._reaches_it_anyway(number):
                continue
            if number in self._leaving and self.reason is None:
                self.reason = 128 + number
                until = time.monotonic() + self._policy.grace
            self._hand_on(number)
        return self._policy.grace if self.reason is None else max(0, until - time.monotonic())

    def _insists(self, number: int) -> bool:
        """Tell whether a signal asks us to leave once more.

        A hangup does not: the kernel and a shell may both tell the same one.
        """
        again = self.reason is not None and number in self._leaving
        return again and not (number == HANGUP and self.reason == 128 + number)

    def _reaches_it_anyway(self, number: int) -> bool:
        """Tell whether a key sent it to the command as well: then it is the command's affair."""
        return number in self._keys and self._terminal.reaches(self._process.pid)

    def _hand_on(self, number: int) -> None:
        """Send the command a signal; if it is to leave and is stopped, it must be continued."""
        with contextlib.suppress(PermissionError):  # su, sudo; the end will tell it
            self._process.send_signal(number)
            if number in self._leaving and hasattr(signal, "SIGCONT"):
                self._process.send_signal(signal.SIGCONT)

    def _end(self, grace: float) -> KillResult | None:
        """End who is left; whatever asks us to leave meanwhile forces."""
        if self._process.poll() is not None and self._process.containment.is_empty:
            return None
        killing = Killing(self._process, self._policy.but(grace=grace))
        thread = WorkThread(killing, lambda: self._signals.put(ALL_ENDED))
        if not thread.start():
            self._signals.put(ALL_ENDED)
        while (number := self._signals.get()) != ALL_ENDED:
            if number is None:
                continue
            if self._insists(number) or (self.reason is None and number in self._leaving):
                self.reason = self.reason or 128 + number
                killing.hurry()
        return thread.result()


def _numbers(names: tuple[str, ...]) -> set[int]:
    """Return the numbers of those signals that this system has."""
    return {getattr(signal, name) for name in names if hasattr(signal, name)}
