"""What can be said on the command line, and the help that tells it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from . import session_parser
from .values import add_grace, add_patience, add_settle, marker, pid, pids, time_limit

USAGE = 2
"""The exit code of wrong arguments, which argparse gives as well."""
RUN_FAILED = 125
"""That of ``run``, where 2 may be the command's own; timeout(1) gives the same."""

_EXIT_CODES = """\
exit codes:
  0    all are gone, also when nothing was left to do
  1    somebody who was meant to die lives
  2    the arguments are wrong; nothing was touched
  3    the target is refused; nothing was touched
  130  interrupted by Ctrl-C; what had begun was finished by force
"""

_MAIN = """\
End process trees: all of a tree, soon, politely if possible, and never
anything else.
"""

_MAIN_EPILOG = f"""\
{_EXIT_CODES}
examples:
  proctree-kill demo             see what it does, on a tree of its own
  proctree-kill tree 4711        see who would be ended, and why
  proctree-kill kill 4711        end them
  proctree-kill run -- make      run a command that leaves nothing behind
  proctree-kill doctor           see what this machine offers

`proctree-kill COMMAND --help` says more about each command.
"""

_KILL = """\
End processes and everything that they started, and say what became of each.

Everybody is asked first (SIGTERM, children before parents).
Who is alive after the grace is frozen, killed and looked for again until
nobody is left. Several processes share one deadline.
Whoever holds this command itself, init and the kernel's own are refused.
"""

_KILL_EPILOG = f"""\
{_EXIT_CODES}
examples:
  proctree-kill kill 4711                     ask, wait two seconds, force
  proctree-kill kill 4711 4720 --grace 10     two trees, ten seconds to leave
  proctree-kill kill 4711 --force             no questions asked
  proctree-kill kill 4711 --spare 4713        all but 4713 and its children
  proctree-kill kill 4711 --marker APP_RUN=7  daemons with APP_RUN=7 as well
  proctree-kill kill 4711 --json | jq '.results[].outcomes[].fate'
"""

_RUN = """\
Run a command, and end all that it started when it ends, or when its time is
over: a timeout(1) that means it.

Its input and its output are its own. What it leaves behind (children,
orphans, daemons that keep their environment) is asked to leave, and killed
after the grace. Signals are handed on; after one that asks to leave (TERM,
HUP, INT, QUIT) the command has the grace, and a second one kills at once.
On a terminal Ctrl-C and Ctrl-Z reach the command as they do in a shell.
"""

_RUN_EPILOG = """\
exit codes:
  124  the time was over
  125  the arguments are wrong, the command could not be run, or somebody who
       was meant to die lives
  126  the command is found and cannot be executed
  127  the command is not found
  128  and the number of the signal: it asked us to leave (130 for Ctrl-C), or
       ended the command
  any other is that of the command

examples:
  proctree-kill run --timeout 60 -- make test   a minute, then all of it ends
  proctree-kill run -- ./start-servers.sh       nothing stays when it is over
  proctree-kill run -v --grace 10 -- npm start  and a word about who was left
"""

_TREE = """\
Show whom `kill` would end, in which order and why, and touch nobody.

ORDER counts those who would be asked; children come before their parents.
EVIDENCE says why a process belongs to the tree, or why it is not touched.
Users and command lines are read now and kept nowhere: --json has none.
"""

_TREE_EPILOG = """\
exit codes:
  0    `kill` would act, or nobody is there
  2    the arguments are wrong
  3    `kill` would refuse

examples:
  proctree-kill tree 4711
  proctree-kill tree 4711 --spare 4713 --marker APP_RUN=7
  proctree-kill tree $$                       why your own shell is refused
"""

_DOCTOR = """\
Show what this machine offers to end trees, and why not more: how processes
are held, cgroups and where, delegation, limits, the guard.

A cgroup is made and removed again, and a guard is started and ended.
"""

_DOCTOR_EPILOG = """\
exit codes:
  0    always, but for
  2    the arguments are wrong

examples:
  proctree-kill doctor
  proctree-kill doctor --json | jq '.containment.available'
"""

_DEMO = """\
Plant a stubborn tree, show it, end it, and prove that nobody is left.

The tree is of real processes: a wrapper shell, one that ignores SIGTERM, one
that is stopped, an orphan, one with a session of its own, and a daemon.
Nothing else on this machine is touched, and whatever happens, nothing stays.
"""

_DEMO_EPILOG = f"""\
{_EXIT_CODES}"""


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
    session_parser.describe(partial(_command, commands))
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
