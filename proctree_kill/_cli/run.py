"""The command ``run``: run a command, and end all that it started."""

from __future__ import annotations

import contextlib
import errno
import math
import signal
import threading
import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from .._engine.killing import Killing
from .._engine.process import ExitWaiter
from .._models.errors import PolicyError
from .._models.policy import KillPolicy
from .._models.result import Fate, KillResult, SurvivorsError
from .._running.threads import WorkThread
from .._spawn.popen import TreePopen
from .._systems import terminal as own_terminal
from .._systems.contract import Terminal
from .exit_codes import Exit
from .signals import SignalQueue, signal_numbers, signal_queue
from .tables import outcome_table, plain, result_line

if TYPE_CHECKING:
    from .screen import Screen

EXIT_SIGNALS = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGBREAK")
"""The signals that ask us and the command to exit; SIGBREAK is Windows' Ctrl-Break."""
PASSED_ON = (*EXIT_SIGNALS, "SIGUSR1", "SIGUSR2", "SIGWINCH")
"""The signals that are passed on; some servers exit on SIGWINCH."""
TERMINAL_SIGNALS = ("SIGINT", "SIGQUIT", "SIGBREAK", "SIGWINCH")
"""The signals that a terminal sends by itself."""
HANGUP = getattr(signal, "SIGHUP", None)
COMMAND_ENDED, TREE_ENDED = 0, 255  # in the queue of the signals; no signal has these numbers


def run(options: Namespace, screen: Screen) -> int:
    """Run a command, end what it left behind, and return the exit code."""
    try:
        policy = KillPolicy().but(grace=options.grace, settle=options.settle)
    except PolicyError as error:
        screen.error(str(error))
        return Exit.FAILED
    with own_terminal() as terminal, signal_queue(PASSED_ON) as signals:
        try:
            # the caller chose what is inherited: <(...) of a shell, the job server of make
            process = TreePopen(options.argv, close_fds=False, start_new_session=not terminal)
        except OSError as error:
            screen.error(f"cannot run {options.argv[0]!r}: {error.strerror or error}")
            return start_failure(error)
        command = CommandRun(process, policy, signals, terminal)
        try:
            result = command.finish(options.timeout)
        except BaseException:
            process.stop(grace=0)
            raise
        terminal.reclaim(modes=command.reason is not None)
    if options.verbose:
        command.report(result, screen)
    survivors = result is not None and not result.ok
    if result is not None and survivors:
        screen.error(str(SurvivorsError(result)))
    return exit_code(process.returncode, command.reason, survivors=survivors)


def start_failure(error: OSError) -> Exit:
    """Return the exit code for a command that could not be started."""
    if isinstance(error, FileNotFoundError):
        return Exit.NOT_FOUND
    if error.filename is not None or error.errno in (errno.EACCES, errno.ENOEXEC):
        return Exit.NOT_EXECUTABLE
    return Exit.FAILED  # we could not even fork


def exit_code(code: int | None, reason: int | None, *, survivors: bool) -> int:
    """Return our exit code.

    Args:
        code: the exit code of the command, negative for a signal; None if it is alive.
        reason: the exit code that says why we ended it, if we did.
        survivors: whether a process that should have ended is alive.
    """
    if survivors:
        return Exit.FAILED
    if reason is not None:
        return reason
    if code is None:
        return Exit.FAILED
    return code if code >= 0 else 128 - code


class CommandRun:
    """A command that runs, up to the end of its tree.

    Attributes:
        reason: the exit code that says why we ended it; None if it ended by itself.
    """

    def __init__(
        self, process: TreePopen[Any], policy: KillPolicy, signals: SignalQueue, terminal: Terminal
    ) -> None:
        """Begin just after the start of the command."""
        self.reason: int | None = None
        self._process = process
        self._policy = policy
        self._signals = signals
        self._terminal = terminal
        self._start = time.monotonic()
        self._seconds = 0.0
        self._exit_signals = signal_numbers(EXIT_SIGNALS)
        self._terminal_signals = signal_numbers(TERMINAL_SIGNALS)

    def finish(self, timeout: float | None) -> KillResult | None:
        """Wait for the command, then end what is left of its tree.

        Args:
            timeout: seconds for the command; None is no limit.

        Returns:
            The result of the kill; None if no process was left.
        """
        with ExitWaiter(self._process.pid) as waiter:
            thread = threading.Thread(target=self._announce_end, args=(waiter,), daemon=True)
            thread.start()
            try:
                grace = self._wait(math.inf if timeout is None else self._start + timeout)
                self._seconds = time.monotonic() - self._start
                return self._end(grace)
            finally:
                waiter.wake()
                thread.join()

    def report(self, result: KillResult | None, screen: Screen) -> None:
        """Write how it ended, and what became of the processes that were left."""
        screen.error(f"{self._why_ended()} after {self._seconds:.2f} s")
        if result is None:
            screen.error("no process was left")
            return
        left = tuple(outcome for outcome in result.outcomes if outcome.fate != Fate.ALREADY_GONE)
        shown = result.model_copy(update={"outcomes": left or result.outcomes})
        for line in plain(outcome_table(shown)):
            screen.note(line)
        screen.error(result_line(shown))

    def _why_ended(self) -> str:
        if self.reason == Exit.TIMEOUT:
            return "the time was over"
        if self.reason is not None:
            return f"{signal.Signals(self.reason - 128).name} came"
        code = self._process.returncode
        if code < 0:
            return f"the command was ended by {signal.Signals(-code).name}"
        return f"the command ended with exit code {code}"

    def _announce_end(self, waiter: ExitWaiter) -> None:
        waiter.wait()
        self._signals.put(COMMAND_ENDED)

    def _wait(self, until: float) -> float:
        """Wait until the command ends or must be ended; return the grace for what is left then."""
        while (number := self._signals.get(until)) != COMMAND_ENDED:
            if number is None:
                if self.reason is not None:
                    return 0
                self.reason = Exit.TIMEOUT
                return self._policy.grace
            if self._forces(number):
                return 0
            if number in self._terminal_signals and self._terminal.reaches(self._process.pid):
                continue  # a key: the command has got it as well
            if number in self._exit_signals and self.reason is None:
                self.reason = 128 + number
                until = time.monotonic() + self._policy.grace
            self._pass_on(number)
        return self._policy.grace if self.reason is None else max(0, until - time.monotonic())

    def _forces(self, number: int) -> bool:
        """Whether this is the second request to exit."""
        again = self.reason is not None and number in self._exit_signals
        # not a second hangup: the kernel and a shell may both send the same one
        return again and not (number == HANGUP and self.reason == 128 + number)

    def _pass_on(self, number: int) -> None:
        with contextlib.suppress(PermissionError):  # su, sudo: the outcome will say denied
            self._process.send_signal(number)
            if number in self._exit_signals and hasattr(signal, "SIGCONT"):
                self._process.send_signal(signal.SIGCONT)  # a stopped process cannot exit

    def _end(self, grace: float) -> KillResult | None:
        """End what is left of the tree; a request to exit meanwhile forces."""
        if self._process.poll() is not None and self._process.containment.is_empty:
            return None
        killing = Killing(self._process, self._policy.but(grace=grace))
        thread = WorkThread(killing, lambda: self._signals.put(TREE_ENDED))
        if not thread.start():
            self._signals.put(TREE_ENDED)
        while (number := self._signals.get()) != TREE_ENDED:
            if number is None:
                continue
            first = self.reason is None and number in self._exit_signals
            if first or self._forces(number):
                self.reason = self.reason or 128 + number
                killing.hurry()
        return thread.result()
