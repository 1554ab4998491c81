"""The completion scripts of shells, made by shtab from the parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

import shtab

from .._models.signal_names import SIGNALS
from .help import COMMANDS
from .target_text import target
from .values import FORCE, folder, signal, spared

if TYPE_CHECKING:
    from .base_parser import Parser

Completion = dict[str, str | dict[str, str]]

_TARGETS: Completion = {
    "bash": "_proctree_kill_targets",
    "zsh": "_proctree_kill_targets",
    "fish": "(__fish_complete_pids; __fish_complete_proc)",
    "preamble": {
        "bash": """\
_proctree_kill_targets() {
  # compgen -W would evaluate a name like $(reboot), which any process may give itself
  local words word
  ps -u "$EUID" -o pid=,comm= 2>/dev/null | while read -r -a words; do
    for word in "${words[@]}"; do
      [[ $word = "$1"* && $word != *[^[:alnum:]._-]* ]] && echo "$word"
    done
  done
}
""",
        "zsh": """\
_proctree_kill_targets() {
  _alternative processes:process:_pids names:program:_process_names
}
""",
    },
}
_COMMANDS = {
    "bash": """\
_proctree_kill_command_or_file() {
  local first=$current_action_args_start_index  # of shtab: the index of the command's first word
  [[ ${COMP_WORDS[first]} = -- ]] && ((first++))
  if ((COMP_CWORD <= first)); then compgen -c -- "$1"; else compgen -f -- "$1"; fi
}
""",
    "zsh": """\
_proctree_kill_command() {
  [[ $words[1] = -- ]] && { shift words; (( CURRENT-- )) }
  _normal
}
""",
}


def script(parser: Parser, shell: str) -> str:
    """Return the script for a shell. The parser cannot be used for anything else after this."""
    for name, command in parser.commands.items():
        command.description = COMMANDS[name].summary  # the shells show one line
        for action in command.actions:
            _complete(action, command.actions)
    return shtab.complete(parser, shell)


def _complete(action: argparse.Action, neighbours: Iterable[argparse.Action]) -> None:
    if action.nargs == argparse.REMAINDER:
        action.complete = _command(neighbours)  # type: ignore[attr-defined] # shtab reads it
    elif action.type is signal:
        action.choices = [name.removeprefix("SIG") for name in (*SIGNALS, FORCE)]
    elif action.type in _BY_TYPE:
        action.complete = _BY_TYPE[action.type]  # type: ignore[attr-defined] # shtab reads it


_BY_TYPE = {folder: shtab.DIRECTORY, target: _TARGETS, spared: _TARGETS}


def _command(neighbours: Iterable[argparse.Action]) -> Completion:
    """Complete another command with its arguments."""
    with_value = [
        option for action in neighbours if action.nargs != 0 for option in action.option_strings
    ]
    return {
        "bash": "_proctree_kill_command_or_file",
        "zsh": "_proctree_kill_command",
        # of its arguments fish's function takes all that begin with -- up to one that does not
        "fish": f"(__fish_complete_subcommand --fcs-skip=2 - {' '.join(with_value)})",
        "preamble": _COMMANDS,
    }
