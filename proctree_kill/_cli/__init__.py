"""The command line: kill, run, tree, doctor, demo, and what _cli_sessions has."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

from .._models.errors import PolicyError, RecordError, SessionError, TargetRefusedError
from .parser import parse
from .signals import exit_code, interruptible

if TYPE_CHECKING:
    from .._models.tree import TreeSnapshot
    from .screen import Screen


class Exit(IntEnum):
    """What the exit code says; an interrupt gives 128 and the number of the signal."""

    GONE = 0
    ALIVE = 1
    USAGE = 2
    REFUSED = 3


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows the program's name; default ``sys.argv[1:]``.

    Returns:
        The exit code.
    """
    try:
        with interruptible():
            return _run(parse(arguments))
    except KeyboardInterrupt as interrupt:
        return exit_code(interrupt)


def _run(options: Namespace) -> int:
    """Run a command; what it raises on purpose becomes a sentence and an exit code."""
    from .screen import Screen  # noqa: PLC0415 - not before the arguments were right

    screen = Screen(quiet=getattr(options, "quiet", False))
    try:
        return _COMMANDS[options.command](options, screen)
    except TargetRefusedError as refusal:
        screen.complain(f"{refusal}; nothing was touched")
        _advise([refusal.pid], screen)
        return Exit.REFUSED
    except (PolicyError, RecordError, SessionError) as error:
        screen.complain(str(error))
        return Exit.USAGE


def _kill(options: Namespace, screen: Screen) -> Exit:
    """End trees and say what became of each process."""
    from .._engine.kill import kill_tree  # noqa: PLC0415 - its import is most of a start
    from .screen import watching  # noqa: PLC0415 - its import is most of a start

    with watching(screen, verbose=options.verbose) as watcher:
        result = kill_tree(
            options.pids,
            grace=options.grace,
            settle=options.settle,
            terminate=options.terminate,
            include_root=options.include_root,
            marker=options.marker,
            spare=options.spare,
            on_event=watcher,
        )
    if options.json:
        screen.deliver(_json({"ok": result.ok, "results": [result.model_dump(mode="json")]}))
    else:
        screen.report(result)
    return Exit.GONE if result.ok else Exit.ALIVE


def _keep(options: Namespace, screen: Screen) -> int:
    """Run a command and end what it leaves behind."""
    from .run import run  # noqa: PLC0415 - its import is most of a start

    return run(options, screen)


def _tree(options: Namespace, screen: Screen) -> Exit:
    """Show whom a kill would end, and say so where it would be refused."""
    from .._engine.kill import snapshot_tree  # noqa: PLC0415 - its import is most of a start

    snapshot = snapshot_tree(
        options.pids,
        marker=options.marker,
        spare=options.spare,
        include_root=options.include_root,
    )
    if options.json:
        screen.deliver(_json(snapshot.model_dump(mode="json")))
    else:
        _show_snapshot(snapshot, screen)
    if snapshot.refusal is None:
        return Exit.GONE
    _advise(options.pids, screen)
    return Exit.REFUSED


def _demo(options: Namespace, screen: Screen) -> Exit:
    """End a tree of our own."""
    from .demo import run  # noqa: PLC0415 - its import is most of a start

    return Exit.GONE if run(options.grace, screen) else Exit.ALIVE


def _doctor(options: Namespace, screen: Screen) -> Exit:
    """Say what this machine offers."""
    from . import doctor  # noqa: PLC0415 - its import is most of a start

    found = doctor.examine()
    if options.json:
        screen.deliver(_json(doctor.as_json(found)))
    else:
        screen.show(doctor.table(found))
    return Exit.GONE


def _of_sessions(options: Namespace, screen: Screen) -> Exit:
    """Do what is about sessions."""
    from .sessions import run  # noqa: PLC0415 - its import is most of a start

    return Exit.GONE if run(options, screen) else Exit.ALIVE


_COMMANDS: Mapping[str, Callable[[Namespace, Screen], int]] = {
    "kill": _kill,
    "run": _keep,
    "tree": _tree,
    "demo": _demo,
    "doctor": _doctor,
    "sessions": _of_sessions,
    "stop": _of_sessions,
    "recover": _of_sessions,
}


def _show_snapshot(snapshot: TreeSnapshot, screen: Screen) -> None:
    """Draw a tree, or say that there is none; then why a kill would be refused."""
    if snapshot.members:
        screen.draw(snapshot)
    elif snapshot.refusal is None:
        screen.say("nobody is there whom to end")
    if snapshot.refusal is not None:
        screen.say(snapshot.refusal)


def _advise(pids: list[int], screen: Screen) -> None:
    """Say what could be done where a target is refused."""
    if min(pids) < 0:
        screen.complain("signals are not chosen here; --force kills at once")
    elif not _own_line().isdisjoint(pids):
        screen.complain("this command runs inside that tree; call it from another terminal")


def _own_line() -> set[int]:
    """Return this process and its ancestors, but for the first of all."""
    from .._systems import current  # noqa: PLC0415 - few need it

    with current() as system:
        return {os.getpid(), *system.ancestors(os.getpid())} - {1}


def _json(value: object) -> str:
    """Write JSON in ASCII, which every encoding has, lone surrogates too."""
    return json.dumps(value, indent=2)
