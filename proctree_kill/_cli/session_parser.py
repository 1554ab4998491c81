"""What can be said about sessions on the command line, and the help that tells it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from .values import add_patience

Add = Callable[[str, str, str, str], argparse.ArgumentParser]
"""Adds a command: its name, its line in the help, its description, its last words."""

_SESSIONS = """\
List the sessions that are written down in a folder, and touch nobody.

STATE is what is known now: starting, running or exited where their owner
lives, orphaned where it is dead and somebody of the tree lives; gone,
recycled, foreign, unreadable, untrusted and bare are what `recover` would
call them.
"""

_SESSIONS_EPILOG = """\
exit codes:
  0    the folder could be read
  2    the arguments are wrong, or the folder cannot be read

examples:
  proctree-kill sessions ./sessions
  proctree-kill sessions ./sessions --json | jq '.sessions[].state'
"""

_STOP = """\
End a session by its record: all of its tree, also where its owner lives.

The process must be the very one that was written down; the number of a
process alone ends nobody. The record goes when nobody is left.
"""

_STOP_EPILOG = """\
exit codes:
  0    nobody is left, also when nothing was left to do
  1    somebody lives, or the record may not be acted upon
  2    the arguments are wrong; nothing was touched

examples:
  proctree-kill stop ./sessions chat-7
  proctree-kill stop ./sessions chat-7 --force
"""

_RECOVER = """\
End every tree in a folder whose owner is dead, as an application does when
it starts. Whatever is in doubt is kept, and nobody is touched for it.

A file that another user may have written is untrusted: it is reported, kept
and never acted upon. Root acts upon the files of an ordinary user with that
user's rights alone: only processes with its real uid are touched.
"""

_RECOVER_EPILOG = """\
exit codes:
  0    nobody who was meant to die lives
  1    somebody does
  2    the arguments are wrong, or the folder cannot be read

examples:
  proctree-kill recover ./sessions --dry-run
  proctree-kill recover ./sessions
"""


def describe(add: Add) -> None:
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


def _folder(text: str) -> Path:
    """Read the name of a folder: a wrong one would look like one without sessions."""
    if not Path(text).is_dir():
        message = f"{text!r} is not a folder"
        raise argparse.ArgumentTypeError(message)
    return Path(text)
