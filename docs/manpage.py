"""Print the manual page, made from the parser of the command line.

$ python docs/manpage.py | man -l -
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from proctree_kill import __version__
from proctree_kill._cli.base_parser import Parser
from proctree_kill._cli.help import COMMANDS, MAIN
from proctree_kill._cli.parser import make_parser

_ITEM = re.compile(r"  (?P<term>\S.*?)(?:  +(?P<text>.*))?")
"""An item of a list in a text of help; what is indented further goes on."""

_COLOUR = re.compile(r"\x1b\[[\d;]*m")
"""Python 3.14 colours usage lines where FORCE_COLOR is set."""


def page() -> str:
    """Return the page in the language of man(7)."""
    parser = make_parser()
    lines = [
        f'.TH PROCTREE-KILL 1 "" "proctree-kill {__version__}" "User Commands"',
        ".ad l",  # no wide gaps between words
        ".nh",
        ".SH NAME",
        rf"proctree\-kill \- {MAIN.description.partition(':')[0].lower()}",
        ".SH SYNOPSIS",
        *_usage(parser),
        ".SH DESCRIPTION",
        *_text(MAIN.description),
        ".SH OPTIONS",
        ".TP",
        r"\fB\-h, \-\-help\fR",
        "describe a command, or list all of them",
        *_arguments(parser),
        *_text(MAIN.epilog, ".SH"),
        ".SH COMMANDS",
    ]
    for name, command in parser.commands.items():
        text = COMMANDS[name]
        lines += [f".SS {_escaped(name)}: {_escaped(text.summary)}", *_usage(command)]
        lines += [*_text(text.description), *_arguments(command), *_text(text.epilog)]
    lines += [".SH SEE ALSO", ".BR kill (1),", ".BR pstree (1),", ".BR timeout (1)"]
    return "\n".join(lines) + "\n"


def _usage(parser: Parser) -> Iterator[str]:
    usage = _COLOUR.sub("", parser.format_usage())
    yield _escaped(" ".join(usage.removeprefix("usage: ").split()))


def _arguments(parser: Parser) -> Iterator[str]:
    for action in parser.actions:
        if action.dest in ("help", "command") or action.help == argparse.SUPPRESS:
            continue
        yield ".TP"
        yield rf"\fB{_escaped(_invocation(action))}\fR"
        yield _escaped((action.help or "") % {"default": action.default})


def _invocation(action: argparse.Action) -> str:
    value = action.metavar or "{%s}" % ",".join(map(str, action.choices or ()))  # noqa: UP031 - braces
    if not action.option_strings:
        return str(value)
    return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {value}")


def _text(text: str, heading: str = "") -> Iterator[str]:
    """Yield paragraphs, and lists below their titles."""
    for is_text, block in groupby(text.splitlines(), key=bool):
        if not is_text:
            continue
        title, *items = lines = list(block)
        if not title.endswith(":") or not items:
            yield from (".PP", _escaped(" ".join(lines)))
            continue
        yield from [f"{heading} {title[:-1].upper()}"] if heading else [".PP", _escaped(title)]
        yield from _items(items)


def _items(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        item = _ITEM.fullmatch(line)
        if item is None:
            yield _escaped(line.strip())
            continue
        yield from (".TP", rf"\fB{_escaped(item['term'])}\fR")
        if item["text"]:
            yield _escaped(item["text"])


def _escaped(text: str) -> str:
    """Quote what has a meaning in man(7); a hyphen shall be one that can be pasted."""
    for character, escape in (("\\", r"\e"), ("-", r"\-"), ("'", r"\(aq"), ("`", r"\(ga")):
        text = text.replace(character, escape)
    return rf"\&{text}" if text.startswith(".") else text


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - that is what it is for
