"""The command ``run``: run a command, and end all that it started."""

from __future__ import annotations

import errno
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._models.errors import ContainmentError
from .._models.exit_code import LOST
from .._models.result import SurvivorsError
from .._models.tree import Evidence, TreeMember
from .._spawn.leftovers import Leftovers
from .._spawn.popen import TreePopen
from .._systems import named
from .._systems import terminal as own_terminal
from .._systems.contract import Terminal
from .command_run import PASSED_ON, CommandRun
from .exit_codes import Exit
from .kill import policy_of
from .signals import keep_exit_codes, signal_queue

if TYPE_CHECKING:
    from .._engine.target import Spare
    from .screen import Screen

LEAST_STATUS = 1 << 31
"""From here on an exit code is Windows' NTSTATUS, as 0xC000013A; sys.exit() needs it signed."""


def run(options: Namespace, screen: Screen) -> int:
    """Run a command, end what it left behind, and return the exit code."""
    try:
        policy = policy_of(options)
        leftovers = Leftovers.read(
            options.leftovers,
            options.linger,
            None,
            kill_on_parent_exit=options.kill_on_parent_exit,
        )
        # asked anew at each look: a process has the name of its parent until it calls exec
        leftovers = leftovers._replace(spare=_sparing(options.spare))
    except ValueError as error:  # a PolicyError too
        screen.error(str(error))
        return Exit.FAILED
    keep_exit_codes()  # as timeout(1)
    with own_terminal() as terminal, signal_queue(PASSED_ON) as signals:
        try:
            process = start(
                options.argv,
                terminal,
                containment=options.containment,
                kill_on_parent_exit=options.kill_on_parent_exit,
            )
        except ContainmentError as error:
            screen.error(f"cannot run {options.argv[0]!r}: {error}")
            return Exit.FAILED
        except OSError as error:
            screen.error(f"cannot run {options.argv[0]!r}: {error.strerror or error}")
            return start_failure(error)
        command = CommandRun(process, policy, leftovers, signals, terminal, say=screen.error)
        try:
            result = command.finish(options.timeout)
        except BaseException:
            process.stop(grace=0, spare=leftovers.spare)
            terminal.reclaim(modes=True)
            raise
        killed = result is not None and result.forced
        terminal.reclaim(modes=killed or command.was_ended)
    if options.verbose:
        command.report(result, screen)
    elif result is not None and command.reason is None:
        screen.ended(result)
    survivors = result is not None and not result.ok
    if result is not None and survivors:
        screen.error(str(SurvivorsError(result)))
    elif options.spare:
        process.containment.abandon()  # else the guard ends what was spared
    code = process.exit_code
    if code is None and command.reason is None and not survivors:
        screen.error(f"the exit code of the command is unknown: {LOST}")
    reason = None if options.preserve_status else command.reason
    return exit_code(code, reason, survivors=survivors)


def _sparing(names: Sequence[str] | None) -> Spare | None:
    """Spare the processes of these programs, except for the command itself."""
    if names is None:
        return None

    def is_spared(member: TreeMember) -> bool:
        pid = member.identity.pid
        return Evidence.ROOT not in member.evidence and any(named(name, [pid]) for name in names)

    return is_spared


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
            process.stop(grace=0)
        raise
    return process


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
        code: the exit code of the command, negative for a signal; None if it is alive or unknown.
        reason: the exit code that says why we ended it, if we did.
        survivors: whether a process that should have ended is alive.
    """
    if survivors:
        return Exit.FAILED
    if reason is not None:
        return reason
    if code is None:
        return Exit.FAILED
    if code >= LEAST_STATUS:
        return code - 2 * LEAST_STATUS
    return code if code >= 0 else 128 - code
