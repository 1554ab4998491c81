"""The command line."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .._models.errors import PolicyError, RecordError, SessionError, TargetRefusedError
from .exit_codes import Exit
from .parser import parse
from .signals import interrupt_code, interruptible

if TYPE_CHECKING:
    from .screen import Screen

# The imports below are most of the time of a start: each command makes its own, and only
# after the arguments were right.


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows the name of the program (default ``sys.argv[1:]``).

    Returns:
        The exit code.
    """
    try:
        with interruptible():
            return _run_command(parse(arguments))
    except KeyboardInterrupt as interrupt:
        return interrupt_code(interrupt)


def _run_command(options: Namespace) -> int:
    from .screen import Screen  # noqa: PLC0415 - slow to import

    screen = Screen(quiet=getattr(options, "quiet", False))
    try:
        return _COMMANDS[options.command](options, screen)
    except TargetRefusedError as refusal:
        screen.error(f"{refusal}; nothing was touched")
        _advise([refusal.pid], screen)
        return Exit.REFUSED
    except (PolicyError, RecordError, SessionError) as error:
        screen.error(str(error))
        return Exit.USAGE


def _kill(options: Namespace, screen: Screen) -> Exit:
    from .._engine.kill import kill_tree  # noqa: PLC0415 - slow to import

    with screen.events(verbose=options.verbose) as show_event:
        result = kill_tree(
            options.pids,
            grace=options.grace,
            settle=options.settle,
            terminate=options.terminate,
            include_root=options.include_root,
            marker=options.marker,
            spare=options.spare,
            on_event=show_event,
        )
    if options.json:
        screen.json({"ok": result.ok, "results": [result.model_dump(mode="json")]})
    else:
        screen.result(result)
    return Exit.GONE if result.ok else Exit.ALIVE


def _tree(options: Namespace, screen: Screen) -> Exit:
    from .._engine.kill import snapshot_tree  # noqa: PLC0415 - slow to import

    snapshot = snapshot_tree(
        options.pids,
        marker=options.marker,
        spare=options.spare,
        include_root=options.include_root,
    )
    if options.json:
        screen.json(snapshot.model_dump(mode="json"))
    elif snapshot.members:
        screen.tree(snapshot)
    elif snapshot.refusal is None:
        screen.info("no process to end")
    if snapshot.refusal is None:
        return Exit.GONE
    if not options.json:
        screen.info(snapshot.refusal)
    _advise(options.pids, screen)
    return Exit.REFUSED


def _run(options: Namespace, screen: Screen) -> int:
    from .run import run  # noqa: PLC0415 - slow to import

    return run(options, screen)


def _demo(options: Namespace, screen: Screen) -> Exit:
    from .demo import run  # noqa: PLC0415 - slow to import

    return Exit.GONE if run(options.grace, screen) else Exit.ALIVE


def _doctor(options: Namespace, screen: Screen) -> Exit:
    from .doctor import run  # noqa: PLC0415 - slow to import

    run(options, screen)
    return Exit.GONE


def _sessions(options: Namespace, screen: Screen) -> Exit:
    from .sessions import run  # noqa: PLC0415 - slow to import

    return Exit.GONE if run(options, screen) else Exit.ALIVE


_COMMANDS: Mapping[str, Callable[[Namespace, Screen], int]] = {
    "kill": _kill,
    "run": _run,
    "tree": _tree,
    "demo": _demo,
    "doctor": _doctor,
    "sessions": _sessions,
    "stop": _sessions,
    "recover": _sessions,
}


def _advise(pids: list[int], screen: Screen) -> None:
    """Write what to do about a refused target."""
    from .._systems import current  # noqa: PLC0415 - slow to import

    if min(pids) < 0:  # kill -9 PID
        screen.error("a signal cannot be chosen; --force kills at once")
        return
    with current() as system:
        own_line = {os.getpid(), *system.ancestors(os.getpid())} - {1}
    if not own_line.isdisjoint(pids):
        screen.error("this command runs inside that tree; call it from another terminal")
