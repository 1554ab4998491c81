"""The arguments of ``run`` alone."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .base_parser import Parser
from .exit_codes import Exit
from .values import duration, number, program, time_limit


def add_run(parser: Parser) -> None:
    """Add them to the parser of the command."""
    parser.usage_code = Exit.FAILED  # 2 may be the command's own
    parser.add_argument(
        "--timeout",
        "--max-lifetime",
        type=time_limit,
        metavar="TIME",
        help="time for the command, as 5, 0.5, 5s, 1m, 2h or 5d (default 0: no limit)",
    )
    parser.add_argument(
        "--idle-timeout",
        type=time_limit,
        metavar="TIME",
        help="end the tree when all of it used less than 2 %% of a core for that time, whatever it "
        "printed (default 0: no limit)",
    )
    parser.add_argument(
        "--preserve-status",
        action="store_true",
        help="exit with the command's own code, also when its time or input was over or a signal "
        "came",
    )
    parser.add_argument(
        "--foreground",
        action="store_true",
        help="accepted, as timeout(1) has it: the command shares the terminal without it, and "
        "its children are ended all the same",
    )
    parser.add_argument(
        "--leftovers",
        choices=("end", "wait", "leave"),
        default="end",
        help="what becomes of processes that the command leaves behind: end them after --linger "
        "(the default), wait for all of them, or leave them alone",
    )
    parser.add_argument(
        "--linger",
        type=duration,
        metavar="TIME",
        default=1.0,
        help="time that they have to exit by themselves (default 1s)",
    )
    parser.add_argument(
        "--spare",
        type=program,
        action="append",
        metavar="NAME",
        help="leave the processes of this program, or with a variable in their environment "
        "(NAME=VALUE), and their descendants alone, but not the command itself; repeat it for "
        "several",
    )
    parser.add_argument(
        "--containment",
        choices=("auto", "session", "kernel"),
        default="auto",
        help="what keeps the tree together: the best that this machine offers (auto, the "
        "default); a session and a marker (session); a cgroup or a job object, or nothing is "
        "started (kernel)",
    )
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="memory that the whole tree may use, as 2G, 512M or a number of bytes; more ends it",
    )
    parser.add_argument(
        "--processes",
        type=number,
        metavar="N",
        help="processes that may live at one time; on Linux threads count",
    )
    parser.add_argument(
        "--cpu",
        type=number,
        metavar="CORES",
        help="cores that the whole tree may use, as 0.5 or 2",
    )
    parser.add_argument(
        "--kill-on-parent-exit",
        action="store_true",
        help="end the tree also if proctree-kill itself is killed",
    )
    parser.add_argument(
        "--die-with-stdin",
        action="store_true",
        help="end the tree when standard input ends, as when ssh loses its connection; the command "
        "reads it through a pipe, and has --linger to exit by itself",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="print to stderr how the command ended, and which processes were left",
    )
    parser.add_argument(
        "argv",
        nargs=argparse.REMAINDER,
        action=_CommandLine,
        metavar="COMMAND",
        help="the command and its arguments",
    )


class _CommandLine(argparse.Action):
    """Takes a command with all its arguments, without the ``--`` before it."""

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
