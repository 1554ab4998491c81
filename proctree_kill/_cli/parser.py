"""The arguments of the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial

from .. import __version__
from .base_parser import Parser
from .exit_codes import Exit
from .help import COMMANDS, MAIN, START
from .run_arguments import add_run
from .target_text import target
from .values import duration, folder, marker, signal, spared, steps, time_limit


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line.

    Raises:
        SystemExit: the arguments are wrong, or ask for help or the version.
    """
    parser = make_parser()
    found, rest = parser.parse_known_args(arguments)
    if rest:
        found.parser.reject(rest)
    if found.command == "help":
        parser.parse_args([found.topic, "--help"] if found.topic else ["--help"])
    if found.command == "fleet" and (found.action == "stop") != (found.session_id is not None):
        found.parser.error("stop needs the ID of a session, and the other actions take none")
    if found.command == "fleet" and found.dry_run and found.action != "recover":
        found.parser.error("--dry-run belongs to recover")
    if found.command is None:
        usage = "proctree-kill COMMAND ..."
        start = Parser(usage=usage, add_help=False, description=MAIN.description, epilog=START)
        start.print_help(sys.stderr)
        raise SystemExit(Exit.USAGE)
    return found


def make_parser() -> Parser:
    parser = Parser(prog="proctree-kill", description=MAIN.description, epilog=MAIN.epilog)
    version = f"%(prog)s {__version__}"
    parser.add_argument(
        "--version", action="version", version=version, help="show the version and exit"
    )
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=("bash", "zsh", "fish"),
        metavar="SHELL",
        help="print the completions for bash, zsh or fish and exit",
    )
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", prog="proctree-kill"
    )
    for name, (summary, description, epilog) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=description, epilog=epilog)
        for add_arguments in _ARGUMENTS[name]:
            add_arguments(command)
    parser.commands = commands.choices
    return parser


def _add_topic(parser: Parser) -> None:
    parser.add_argument(
        "topic", nargs="?", choices=tuple(COMMANDS), metavar="COMMAND", help="the command"
    )


def _add_target(parser: Parser) -> None:
    _add_targets(parser)
    parser.add_argument(
        "--marker",
        type=marker,
        metavar="NAME=VALUE",
        help="a variable of the environment: processes that were started with it belong to the "
        "tree, daemons that left it included",
    )
    parser.add_argument(
        "--spare",
        type=spared,
        action="extend",
        metavar="PID",
        help="leave this process, or those of a program (NAME) or with a variable in their "
        "environment (NAME=VALUE), and their descendants alone; repeat it for several",
    )
    parser.add_argument(
        "--keep-root",
        dest="include_root",
        action="store_false",
        help="end the descendants only",
    )


def _add_targets(parser: Parser) -> None:
    parser.add_argument(
        "targets",
        nargs="+",
        type=target,
        metavar="TARGET",
        help="the root of a tree: a pid, PID:INODE (the inode of a pidfd), :PORT (the topmost "
        "process that listens there), or the exact name of a program",
    )


def _add_yes(parser: Parser) -> None:
    parser.add_argument(
        "-y", "--yes", action="store_true", help="end all that a name leads to, without a question"
    )


def _add_wait(parser: Parser) -> None:
    _add_targets(parser)
    parser.add_argument(
        "--timeout",
        type=time_limit,
        metavar="TIME",
        help="time to wait, as 5, 0.5, 5s, 1m, 2h or 5d (default 0: no limit)",
    )


def _add_folder(parser: Parser) -> None:
    parser.add_argument("directory", type=folder, metavar="DIR", help="the folder of the records")


def _add_session(parser: Parser) -> None:
    parser.add_argument("session_id", metavar="ID", help="the session")


def _add_recover(parser: Parser) -> None:
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="only show what would become of each record"
    )
    parser.add_argument(
        "--bare",
        action="store_true",
        help="also use bare files (a pid that another program wrote), if a process of your own "
        "has that pid and is older than the file",
    )


def _add_fleet(parser: Parser) -> None:
    parser.add_argument("address", metavar="ADDRESS", help="the scheduler, as tcp://HOST:PORT")
    parser.add_argument(
        "action",
        choices=("sessions", "stop", "recover"),
        metavar="ACTION",
        help="sessions, stop or recover",
    )
    parser.add_argument("session_id", nargs="?", metavar="ID", help="the session to stop")
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="recover: only show what would become of each"
    )
    parser.add_argument(
        "--timeout",
        type=duration,
        metavar="TIME",
        default=10.0,
        help="time that a machine has to answer, as 5, 0.5, 5s or 1m (default 10s)",
    )


def _add_terminate(parser: Parser) -> None:
    parser.add_argument(
        "--terminate",
        choices=("top-down", "tree", "root"),
        help="how the tree is asked: a child after its parent, which may pass the request on "
        "(top-down, the default); all at once (tree); only the root, which ends the rest itself",
    )


def _add_json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_quiet(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def _add_quiet_or_verbose(parser: Parser) -> None:
    output = parser.add_mutually_exclusive_group()
    _add_quiet(output)
    output.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="print each step to stderr as it happens, and a row for each process",
    )


def _add_verbose(parser: Parser) -> None:
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="print a row for each, also for alike ones"
    )


def _add_times(parser: Parser) -> None:
    patience = parser.add_mutually_exclusive_group()
    _add_grace(patience)
    patience.add_argument(
        "--force",
        dest="grace",
        action="store_const",
        const=0.0,
        help="kill at once, as --grace 0",
    )
    patience.add_argument(
        "--teardown",
        type=steps,
        metavar="STEPS",
        help="several requests, each with its time, instead of the grace: 'INT 3s, TERM 2s'",
    )
    parser.add_argument(
        "-s",
        "--signal",
        type=signal,
        metavar="SIGNAL",
        help="the signal that asks, as INT, HUP or 2 (default TERM); KILL is --force",
    )
    _add_settle(parser)


def _add_grace(parser: argparse._ActionsContainer, default: float | None = None) -> None:
    parser.add_argument(
        "-k",
        "--grace",
        type=duration,
        metavar="TIME",
        default=default,  # None: the policy's
        help="time between the polite request and force, as 5, 0.5, 5s, 1m, 2h or 5d "
        f"(default {default or 2:g}s)",
    )


def _add_settle(parser: Parser) -> None:
    parser.add_argument(
        "--settle",
        type=duration,
        metavar="TIME",
        help="time to wait for the deaths after force (default 5s)",
    )


class _PrintCompletion(argparse.Action):
    """Prints the completion script of a shell."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        shell: object,
        _option: str | None = None,
    ) -> None:
        try:
            from .completion import script  # noqa: PLC0415 - of an extra, and rarely needed
        except ImportError as error:
            parser.error(f"{error}; pip install 'proctree_kill[cli]' installs it")
        sys.stdout.write(f"{script(make_parser(), str(shell))}\n")
        parser.exit()


_ARGUMENTS: Mapping[str, tuple[Callable[[Parser], None], ...]] = {
    "kill": (_add_target, _add_yes, _add_times, _add_terminate, _add_json, _add_quiet_or_verbose),
    "run": (add_run, _add_times, _add_terminate),
    "tree": (_add_target, _add_json, _add_verbose),
    "wait": (_add_wait, _add_json, _add_quiet),
    "doctor": (_add_json,),
    "demo": (partial(_add_grace, default=1.0),),
    "sessions": (_add_folder, _add_json, _add_verbose),
    "stop": (
        *(_add_folder, _add_session, _add_times, _add_terminate),
        *(_add_quiet_or_verbose, _add_json),
    ),
    "recover": (
        *(_add_folder, _add_recover, _add_times, _add_terminate),
        *(_add_quiet_or_verbose, _add_json),
    ),
    "fleet": (_add_fleet, _add_quiet_or_verbose, _add_json),
    "help": (_add_topic,),
}
