"""A command that runs, up to the end of its tree."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from .._engine.killing import Killing
from .._models.policy import KillPolicy
from .._models.result import KillResult, closing_line, outcome_table, without_gone
from .._running.threads import Act, WorkThread
from .._spawn.leftovers import Leftovers, Rest, any_ended
from .._spawn.popen import TreePopen
from .._spawn.time_limit import TimeLimit
from .._systems.contract import Terminal
from .exit_codes import Exit
from .keys import RepeatedKeys
from .reaper import OrphanReaper
from .signals import SignalQueue, signal_numbers

if TYPE_CHECKING:
    from .screen import Screen

EXIT_SIGNALS = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGBREAK")
"""The signals that ask us and the command to exit; SIGBREAK is Windows' Ctrl-Break."""
PASSED_ON = (*EXIT_SIGNALS, "SIGUSR1", "SIGUSR2", "SIGWINCH")
"""The signals that are passed on; some servers exit on SIGWINCH."""
TERMINAL_SIGNALS = ("SIGINT", "SIGQUIT", "SIGWINCH")
"""The signals that a terminal sends by itself.

Not SIGBREAK: another program may have sent CTRL_BREAK to our console group, and to no other.
"""
HANGUP = getattr(signal, "SIGHUP", None)
LEFT = "processes are left"
KILLING = "killing all processes"
# In the queue of the signals; no signal has these numbers.
WAIT_ENDED, INPUT_ENDED, TREE_ENDED = 0, 254, 255


class CommandRun:
    """A command that runs, up to the end of its tree.

    Attributes:
        reason: the exit code that says why we ended it; None if it ended by itself.
    """

    def __init__(
        self,
        process: TreePopen[Any],
        policy: KillPolicy,
        leftovers: Leftovers,
        signals: SignalQueue,
        terminal: Terminal,
        *,
        limit: TimeLimit,
        say: Callable[[str], object],
        show: Callable[[Callable[[], Sequence[str]]], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Begin just after the start of the command.

        Args:
            process: the command.
            policy: how its tree is ended.
            leftovers: what becomes of the processes that it leaves behind.
            signals: the signals that this process gets.
            terminal: the terminal that it shares with the command.
            limit: the time of the command.
            say: writes a line for the user at the terminal, after a key.
            show: shows in a block what it waits for, the longest form that fits.
        """
        self.reason: int | None = None
        self._process = process
        self._policy = policy
        self._leftovers = leftovers
        self._signals = signals
        self._terminal = terminal
        self._limit = limit
        self._start = time.monotonic()
        self._seconds = 0.0
        self._has_ended = False  # the command itself
        self._key: int | None = None  # the last one that the command got as well
        self._keys = RepeatedKeys(lambda: terminal.is_canonical)
        self._say = say
        self._show = show
        self._reaper = OrphanReaper(process)
        self._exit_signals = signal_numbers(EXIT_SIGNALS)
        self._terminal_signals = signal_numbers(TERMINAL_SIGNALS)

    def finish(self) -> KillResult | None:
        """Wait for the command, then for what is left of its tree, and end that.

        Returns:
            The result of the kill; None if no process was left, or all were to be left.
        """
        self._reaper.start()
        try:
            return self._finish()
        finally:
            self._reaper.stop()

    def _finish(self) -> KillResult | None:
        policy = self._wait(lambda rest: rest.await_root(self._limit))
        self._seconds = time.monotonic() - self._start
        if policy is not None:
            return self._end(policy)
        self._has_ended = True
        ended = self._process.poll() is not None
        self._reaper.note_root()
        if ended and self._process.containment.is_empty:
            return None
        if self._leftovers.choice == "leave":
            self._process.leave()
            return None
        if self._key is None or self._process.returncode not in (-self._key, 128 + self._key):
            with self._show(self._lingering(self._limit.end)):
                policy = self._wait(lambda rest: rest.wait(self._limit))
        return self._end(policy or self._policy)

    def _lingering(self, until: float) -> Callable[[], Sequence[str]]:
        """Return what tells how long the processes that were left have."""
        if self._leftovers.choice == "end":
            until = min(until, time.monotonic() + self._leftovers.linger)

        def texts() -> Sequence[str]:
            if until == math.inf:
                return (f"{LEFT} · Ctrl-C asks them to exit", "Ctrl-C asks what is left to exit")
            asked = f"asked to exit in {max(until - time.monotonic(), 0):.1f} s"
            return (f"{LEFT}, {asked} · Ctrl-C asks now", f"{asked} · Ctrl-C: now", asked)

        return texts

    @property
    def was_ended(self) -> bool:
        """Whether a signal ended the command, or a process that its exit code (128 + n) is of."""
        return self.reason is not None or (self._process.returncode or 0) not in range(129)

    @property
    def idle_for(self) -> float | None:
        """Seconds for which its tree was idle, if it was ended for that."""
        limit = self._limit
        was_idle = self.reason == Exit.TIMEOUT and limit.reason == "idle_timeout"
        return limit.idle.timeout if limit.idle is not None and was_idle else None

    def report(self, result: KillResult | None, screen: Screen) -> None:
        """Write how it ended, and what became of the processes that were left."""
        screen.error(f"{self._why_ended()} after {self._seconds:.2f} s")
        if result is None:
            screen.error(self._without_kill())
            return
        left = without_gone(result)
        screen.table(outcome_table(left), problem=True, fold=False)
        screen.error(closing_line(left if left.outcomes else result))

    def _without_kill(self) -> str:
        is_left = self._leftovers.choice == "leave" and not self._process.containment.is_empty
        return "what was left goes on" if is_left else "no process was left"

    def _why_ended(self) -> str:
        if self.reason == Exit.TIMEOUT:
            idle = self.idle_for and f"the command was idle for {self.idle_for:g} s, and was ended"
            return idle or "the time was over"
        if self.reason == Exit.INPUT_ENDED:
            return "standard input ended"
        if self.reason is not None:
            return f"{signal.Signals(self.reason - 128).name} came"
        code = self._process.exit_code
        if code is None:
            return "the command ended"
        if code < 0:
            return f"the command was ended by {signal.Signals(-code).name}"
        return f"the command ended with exit code {code}"

    def _wait(self, wait: Callable[[Rest], bool]) -> KillPolicy | None:
        """Wait, until a signal asks to exit.

        Args:
            wait: waits, in a thread; returns whether that ended within the time of the command.

        Returns:
            How to end the tree; None if the wait has ended in time.
        """
        rest = Rest(self._process, self._leftovers)
        over = threading.Event()

        def finished() -> None:
            over.set()
            self._signals.put(WAIT_ENDED)

        thread = WorkThread(Act(lambda: wait(rest)), finished)
        try:
            if not thread.start():
                finished()
            while (number := self._signals.get(self._keys.look_at)) != WAIT_ENDED:
                if number is None:
                    self._keys.look()
                elif (policy := self._policy_at(number)) is not None:
                    return policy
        finally:
            rest.hurry()
            over.wait()
        if thread.result():
            return None
        self.reason = Exit.TIMEOUT
        return self._policy

    def _policy_at(self, number: int) -> KillPolicy | None:
        """Pass a signal on; return how to end the tree if it asks to exit."""
        if number == INPUT_ENDED:
            return self._policy_at_input_end()
        by_key = self._is_sent_by_key(number)
        if number not in self._exit_signals:
            if not by_key:
                self._pass_on(number)
            return None
        if by_key and not self._has_ended and not self._keys.typed(time.monotonic()):
            self._key = number  # the command decides what it means
            return None
        self.reason = 128 + number
        if by_key:
            grace = self._policy.grace
            text = f"asking all processes to exit within {grace:g} s; Ctrl-C again kills them"
            self._say(text if grace else KILLING)
        if by_key or not self._policy.grace:
            return self._policy
        return self._policy.but(teardown=[(signal.Signals(number).name, self._policy.grace)])

    def _policy_at_input_end(self) -> KillPolicy | None:
        if not self._has_ended:
            self.reason = Exit.INPUT_ENDED
        elif self._leftovers.choice != "wait":  # what is left has its own time
            return None
        return self._policy

    def _is_sent_by_key(self, number: int) -> bool:
        """Whether a terminal has sent a signal to the command, or to what it left, as well."""
        if number not in self._terminal_signals:
            return False
        return (
            bool(self._terminal) if self._has_ended else self._terminal.reaches(self._process.pid)
        )

    def _forces(self, number: int) -> bool:
        """Whether this is a request to exit, and no other report of the first one."""
        # the kernel and a shell may both send the same hangup
        same = number == HANGUP and self.reason == 128 + number
        return number in self._exit_signals and not same

    def _pass_on(self, number: int) -> None:
        with contextlib.suppress(PermissionError):  # su, sudo: the outcome will say denied
            self._process.send_signal(number)

    def _end(self, policy: KillPolicy) -> KillResult | None:
        """End what is left of the tree; a request to exit meanwhile forces."""
        self._reaper.stop()
        if self._process.poll() is not None and self._process.containment.is_empty:
            return None
        killing = Killing(self._process, policy, spare=self._leftovers.spare)
        forced = not policy.grace
        thread = WorkThread(killing, lambda: self._signals.put(TREE_ENDED))
        if not thread.start():
            self._signals.put(TREE_ENDED)
        while (number := self._signals.get()) != TREE_ENDED:
            if number in (None, WAIT_ENDED, INPUT_ENDED):
                continue
            if self._forces(number):
                self.reason = self.reason or 128 + number
                if not forced and self._terminal and number in self._terminal_signals:
                    self._say(KILLING)
                forced = True
                killing.hurry()
            elif number not in self._exit_signals:
                self._pass_on(number)
        result = self._process.end_kill(thread.result())
        if self._has_ended and not any_ended(result):  # its last process had left meanwhile
            return None
        return result
