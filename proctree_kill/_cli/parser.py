"""What can be said on the command line, and the help that tells it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from .help import (
    _DEMO,
    _DEMO_EPILOG,
    _DOCTOR,
    _DOCTOR_EPILOG,
    _KILL,
    _KILL_EPILOG,
    _MAIN,
    _MAIN_EPILOG,
    _RECOVER,
    _RECOVER_EPILOG,
    _RUN,
    _RUN_EPILOG,
    _SESSIONS,
    _SESSIONS_EPILOG,
    _STOP,
    _STOP_EPILOG,
    _TREE,
    _TREE_EPILOG,
)
from .values import _folder, marker, pid, pids, seconds, time_limit

USAGE = 2
"""The exit code of wrong arguments, which argparse gives as well."""
RUN_FAILED = 125
"""That of ``run``, where 2 may be the command's own; timeout(1) gives the same."""


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line; what is wrong with it is said, and ends the program with code 2."""
    parser = _parser()
    found, unknown = parser.parse_known_args(arguments)
    if unknown:
        found.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if found.command is None:
        parser.print_help(sys.stderr)
        raise SystemExit(USAGE)
    return found


def _parser() -> _Parser:
    """Describe the whole command line."""
    parser = _Parser(
        prog="proctree-kill",
        description=_MAIN,
        epilog=_MAIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(parser=parser)
    parser.add_argument("--version", action=_Version, help="show the version and leave")
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", prog="proctree-kill"
    )
    _describe_kill(_command(commands, "kill", "end trees", _KILL, _KILL_EPILOG))
    _describe_run(_command(commands, "run", "run a command and end it", _RUN, _RUN_EPILOG))
    _describe_tree(_command(commands, "tree", "show who would be ended", _TREE, _TREE_EPILOG))
    _describe_doctor(
        _command(commands, "doctor", "show what this machine offers", _DOCTOR, _DOCTOR_EPILOG)
    )
    _describe_demo(_command(commands, "demo", "end a tree of its own", _DEMO, _DEMO_EPILOG))
    _describe_sessions(partial(_command, commands))
    return parser


def _command(
    commands: argparse._SubParsersAction[_Parser],
    name: str,
    summary: str,
    description: str,
    epilog: str,
) -> _Parser:
    """Add one command."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(parser=parser)
    return parser


def _describe_kill(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``kill``."""
    _add_target(parser)
    add_patience(parser)
    parser.add_argument(
        "--terminate",
        choices=("tree", "root"),
        help="who is asked: everybody, or only the root, which then sees to its own (default tree)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    voice = parser.add_mutually_exclusive_group()
    voice.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    voice.add_argument(
        "-v", "--verbose", action="store_true", help="tell each step on stderr as it happens"
    )


def _describe_run(parser: _Parser) -> None:
    """Add the arguments of ``run``; what follows the command's name is the command's."""
    parser.usage_code = RUN_FAILED
    parser.usage = (
        "proctree-kill run [-h] [--timeout S] [--grace S] [--settle S] [-v] [--] COMMAND ..."
    )
    parser.add_argument(
        "--timeout", type=time_limit, metavar="S", help="seconds that it has (default: no limit)"
    )
    add_grace(parser)
    add_settle(parser)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="tell on stderr how it ended, and who was left"
    )
    parser.add_argument(
        "argv",
        nargs=argparse.REMAINDER,
        action=_CommandLine,
        metavar="COMMAND",
        help="the command and its arguments",
    )


def _describe_tree(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``tree``."""
    _add_target(parser)
    parser.add_argument("--json", action="store_true", help="print the snapshot as JSON")


def _describe_doctor(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``doctor``."""
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def _describe_demo(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``demo``."""
    add_grace(parser, default=1.0)


def _add_target(parser: argparse.ArgumentParser) -> None:
    """Add what ``kill`` and ``tree`` have in common: which trees, and who is left out."""
    parser.add_argument("pids", nargs="+", type=pid, metavar="PID", help="the root of a tree")
    parser.add_argument(
        "--marker",
        type=marker,
        metavar="NAME=VALUE",
        help="whoever was started with this in its environment belongs to the tree, "
        "daemons that left it as well",
    )
    parser.add_argument(
        "--spare",
        type=pids,
        action="extend",
        metavar="PID",
        help="leave this process and its descendants alone; "
        "for several, repeat it or put commas between them",
    )
    parser.add_argument(
        "--keep-root",
        dest="include_root",
        action="store_false",
        help="end the descendants only",
    )


class _Parser(argparse.ArgumentParser):
    """A parser whose exit code for wrong arguments can be chosen."""

    usage_code = USAGE

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end the program."""
        self.print_usage(sys.stderr)
        self.exit(self.usage_code, f"{self.prog}: error: {message}\n")


class _CommandLine(argparse.Action):
    """Take a command with all its arguments, without the ``--`` before it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        _option: str | None = None,
    ) -> None:
        argv = list(values or ())
        if argv[:1] == ["--"]:
            del argv[0]
        if not argv:
            parser.error("a command is missing")
        setattr(namespace, self.dest, argv)


class _Version(argparse.Action):
    """Show the version, which is looked up only then."""

    def __init__(self, option_strings: list[str], dest: str, help: str | None = None) -> None:  # noqa: A002 - argparse's name
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - few ask for it

        sys.stdout.write(f"{parser.prog} {version('proctree_kill')}\n")
        parser.exit()


Add = Callable[[str, str, str, str], argparse.ArgumentParser]
"""Adds a command: its name, its line in the help, its description, its last words."""


def _describe_sessions(add: Add) -> None:
    """Add the commands about sessions."""
    sessions = add("sessions", "list what is written down", _SESSIONS, _SESSIONS_EPILOG)
    _add_folder(sessions)
    stop = add("stop", "end a session by its record", _STOP, _STOP_EPILOG)
    _add_folder(stop)
    stop.add_argument("session_id", metavar="ID", help="the session")
    _add_wishes(stop)
    recover = add("recover", "end what dead owners left", _RECOVER, _RECOVER_EPILOG)
    _add_folder(recover)
    recover.add_argument(
        "-n", "--dry-run", action="store_true", help="only say what would become of each record"
    )
    recover.add_argument(
        "--bare",
        action="store_true",
        help="act upon bare numbers as well, which another program wrote: "
        "on a process of your own that is older than the file",
    )
    _add_wishes(recover)
    for one in (sessions, stop, recover):
        one.add_argument("--json", action="store_true", help="print it as JSON")


def _add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the folder, which has to be there."""
    parser.add_argument("directory", type=_folder, metavar="DIR", help="the folder of the records")


def _add_wishes(parser: argparse.ArgumentParser) -> None:
    """Add how to end, and how to tell of it."""
    add_patience(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def add_patience(parser: argparse.ArgumentParser) -> None:
    """Add how long to wait for those who are asked, or not at all, and for the killed."""
    patience = parser.add_mutually_exclusive_group()
    add_grace(patience)
    patience.add_argument(
        "--force",
        dest="grace",
        action="store_const",
        const=0.0,
        help="kill at once, as --grace 0",
    )
    add_settle(parser)


def add_grace(parser: argparse._ActionsContainer, default: float | None = None) -> None:
    """Add how long to wait for those who are asked; None is left to the policy."""
    parser.add_argument(
        "--grace",
        type=seconds,
        metavar="S",
        default=default,
        help=f"seconds between the polite request and the force (default {default or 2:g})",
    )


def add_settle(parser: argparse.ArgumentParser) -> None:
    """Add how long to wait for the killed."""
    parser.add_argument(
        "--settle",
        type=seconds,
        metavar="S",
        help="seconds after the force within which death must be confirmed (default 5)",
    )
