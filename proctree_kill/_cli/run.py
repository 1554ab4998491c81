"""The command ``run``: run a command, and end all that it started."""

from __future__ import annotations

import errno
import math
import time
from argparse import Namespace
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from .._models.errors import ContainmentError, PolicyError
from .._models.exit_code import LOST
from .._models.limits import Limits
from .._models.policy import KillPolicy
from .._models.result import KillResult, SurvivorsError
from .._spawn.leftovers import Leftovers
from .._spawn.popen import TreePopen
from .._spawn.time_limit import TimeLimit
from .._spawn.tree_cpu import idle_clock
from .._systems import terminal as own_terminal
from .._systems.contract import Terminal
from .command_run import INPUT_ENDED, PASSED_ON, CommandRun
from .exit_codes import Exit
from .kill import policy_of
from .signals import SignalCode, SignalQueue, keep_exit_codes, signal_queue
from .stdin import InputError, InputRelay
from .tables import idle_line
from .values import is_duration

if TYPE_CHECKING:
    from .._engine.spare import Spare
    from .screen import Screen

LEAST_STATUS = 1 << 31
"""From here on an exit code is Windows' NTSTATUS, as 0xC000013A; sys.exit() needs it signed."""


def run(options: Namespace, screen: Screen) -> int:
    """Run a command, end what it left behind, and return the exit code."""
    try:
        policy = policy_of(options)
        limits = Limits(memory=options.memory, processes=options.processes, cpu=options.cpu)
        leftovers = Leftovers.read(
            options.leftovers,
            options.linger,
            options.spare,
            kill_on_parent_exit=options.kill_on_parent_exit,
        )
    except ValueError as error:  # a PolicyError and a TargetRefusedError too
        screen.error(str(error))
        return Exit.FAILED
    keep_exit_codes()  # as timeout(1)
    with own_terminal() as terminal, signal_queue(PASSED_ON) as signals:
        try:
            relay = input_relay(options, signals)
            process = start(
                options.argv,
                terminal,
                containment=options.containment,
                kill_on_parent_exit=options.kill_on_parent_exit,
                spare=options.spare,
                limits=limits,
                stdin=relay and relay.reader,
            )
        except (InputError, ContainmentError, PolicyError, OSError) as error:
            screen.error(failure_text(error, options.argv[0]))
            return start_failure(error)
        if relay is not None:
            relay.close_reader()
        say = partial(screen.error, start="\n")  # below the ^C
        limit = time_limit(options, process, leftovers.spare)
        command = CommandRun(
            process, policy, leftovers, signals, terminal, limit=limit, say=say, show=screen.waiting
        )
        # the streams are the command's
        lines = options.verbose or screen.has_terminal
        try:
            with screen.grace(policy.grace, lines=lines, pauses=ask_times(policy)):
                result = command.finish()
        except BaseException:
            process.abort()
            terminal.reclaim(modes=True)
            raise
        killed = result is not None and result.forced
        terminal.reclaim(modes=killed or command.was_ended)
    if relay is not None and command.reason == Exit.INPUT_ENDED:
        screen.error(relay.text)
    return report(command, process, result, options, screen)


def time_limit(options: Namespace, process: TreePopen[Any], spare: Spare | None) -> TimeLimit:
    """Return the time of a command that has just started."""
    end = math.inf if options.timeout is None else time.monotonic() + options.timeout
    if options.idle_timeout is None:
        return TimeLimit(end)
    return TimeLimit(end, idle_clock(process, options.idle_timeout, spare))


def report(
    command: CommandRun,
    process: TreePopen[Any],
    result: KillResult | None,
    options: Namespace,
    screen: Screen,
) -> int:
    """Write how a command ended, and return our exit code."""
    if options.verbose:
        command.report(result, screen)
    elif command.idle_for is not None:
        screen.error(idle_line(command.idle_for, result))
    elif result is not None and command.reason is None:
        screen.ended(result)
    survivors = result is not None and not result.ok
    if result is not None and survivors:
        screen.error(str(SurvivorsError(result)))
    if process.usage().out_of_memory:
        screen.error("the processes of the command were out of memory")
    code = process.exit_code
    if code is None and command.reason is None and not survivors:
        screen.error(f"the exit code of the command is unknown: {LOST}")
    reason = None if options.preserve_status else command.reason
    return exit_code(code, reason, survivors=survivors)


def input_relay(options: Namespace, signals: SignalQueue) -> InputRelay | None:
    """Return what watches standard input, if that is wanted.

    Raises:
        InputError: standard input has ended already.
    """
    if not options.die_with_stdin:
        return None
    return InputRelay(options.linger, lambda: signals.put(INPUT_ENDED))


def start(argv: list[str], terminal: Terminal, **popen: Any) -> TreePopen[Any]:
    """Start a command; ``popen`` has more options.

    Raises:
        OSError: it cannot be started; no process is left.
        ContainmentError: this machine does not offer the containment that is wanted.
    """
    process: TreePopen[Any] | None = None
    try:
        with terminal.starting(argv) as (command, new_session):
            # the caller chose what is inherited: <(...) of a shell, the job server of make
            process = TreePopen(command, close_fds=False, start_new_session=new_session, **popen)
    except OSError:
        if process is not None:
            process.abort()
        raise
    return process


def ask_times(policy: KillPolicy) -> list[float]:
    """Return the seconds of the grace at which processes are asked, and may write a last line."""
    seconds = [seconds for _, seconds in policy.requests]
    ends = list(accumulate(seconds))
    return ends + [end - time / 2 for end, time in zip(ends, seconds, strict=True)]


def failure_text(error: Exception, program: str) -> str:
    """Say why a command could not be started."""
    if isinstance(error, InputError):
        return f"{error}; nothing was started"
    reason = error.strerror if isinstance(error, OSError) else None
    text = f"cannot run {program!r}: {reason or error}"
    if isinstance(error, FileNotFoundError) and is_duration(program):  # as timeout(1) has it
        return f"{text}; did you mean --timeout {program}?"
    return text


def start_failure(error: Exception) -> Exit:
    """Return the exit code for a command that could not be started."""
    if isinstance(error, FileNotFoundError):
        return Exit.NOT_FOUND
    if isinstance(error, OSError) and (
        error.filename is not None or error.errno in (errno.EACCES, errno.ENOEXEC)
    ):
        return Exit.NOT_EXECUTABLE
    return Exit.FAILED  # there was no input or containment, or we could not even fork


def exit_code(code: int | None, reason: int | None, *, survivors: bool) -> int:
    """Return our exit code.

    Args:
        code: the exit code of the command, negative for a signal; None if it is alive or unknown.
        reason: the exit code that says why we ended it, if we did.
        survivors: whether a process that should have ended is alive.
    """
    if survivors:
        return Exit.FAILED
    if reason is not None:
        return SignalCode(reason) if reason > 128 else reason  # noqa: PLR2004 - as shells have it
    if code is None:
        return Exit.FAILED
    if code >= LEAST_STATUS:
        return code - 2 * LEAST_STATUS
    return code if code >= 0 else SignalCode(128 - code)
