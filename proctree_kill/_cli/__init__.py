"""The command line."""

from __future__ import annotations

from argparse import Namespace
from importlib import import_module

from .._models.errors import FleetError, PolicyError, RecordError, SessionError, TargetRefusedError
from .exit_codes import Exit
from .parser import parse
from .signals import SignalCode, interrupt_code, interruptible
from .target_text import UndecidedError

_MODULES = {
    "kill": "kill",
    "run": "run",
    "tree": "kill",
    "wait": "wait",
    "doctor": "doctor",
    "demo": "demo",
    "sessions": "sessions",
    "stop": "sessions",
    "recover": "sessions",
    "fleet": "fleet",
}
"""The module of each command, whose ``run(options, screen)`` returns the exit code."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows the name of the program (default ``sys.argv[1:]``).

    Returns:
        The exit code. By default this process ends by a signal where a signal is the reason.
    """
    try:
        with interruptible():
            code = _run_command(parse(arguments))
    except KeyboardInterrupt as interrupt:
        code = interrupt_code(interrupt)
    if arguments is None and isinstance(code, SignalCode):
        code.end_process()
    return code


def _run_command(options: Namespace) -> int:
    # imports are most of the time of a start: none before the arguments were right
    from .screen import Screen  # noqa: PLC0415 - slow to import

    screen = Screen(quiet=getattr(options, "quiet", False))
    try:
        code: int = import_module(f".{_MODULES[options.command]}", __name__).run(options, screen)
    except TargetRefusedError as refusal:
        from .kill import advise  # noqa: PLC0415 - slow to import

        screen.error(f"{refusal}; nothing was touched")
        advise([refusal.pid], screen)
        return Exit.REFUSED
    except UndecidedError as problem:
        screen.error(f"{problem}; nothing was touched")
        return Exit.USAGE
    except (FleetError, PolicyError, RecordError, SessionError) as error:
        screen.error(str(error))
        return Exit.USAGE
    return code
