"""The parser of argparse, with advice after a mistake."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from .._models.signal_names import SIGNALS
from .._models.suggestion import nearest, unknown
from .._models.text import wrapped
from .exit_codes import Exit
from .formatter import Formatter
from .streams import width_of


class Parser(argparse.ArgumentParser):
    """The parser of all commands, or of a single command."""

    usage_code = Exit.USAGE
    commands: Mapping[str, Parser]

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=Formatter, allow_abbrev=False, **options)
        self.color = False  # of Python 3.14: its codes would count as characters
        self.set_defaults(parser=self)

    @property
    def actions(self) -> Sequence[argparse.Action]:
        """The options and arguments."""
        return self._actions

    def error(self, message: str) -> NoReturn:
        """Write what is wrong, and exit."""
        self.print_usage(sys.stderr)
        text = wrapped(f"{self.prog}: error: {message}", width_of(sys.stderr))
        self.exit(self.usage_code, f"{text}\n")

    def reject(self, words: Sequence[str]) -> NoReturn:
        """Write which words have no meaning, with the options that are nearest, and exit."""
        option = next((word for word in words if word.startswith("-")), "").partition("=")[0]
        if option in self._option_string_actions:
            self.error(f"{option} belongs behind the command: {self.prog} {option}")
        names = [name[2:] for name in self._option_string_actions if name.startswith("--")]
        near = nearest(option[2:], names) if option.startswith("--") else []
        hint = f"; did you mean --{' or --'.join(near)}?" if near else ""
        name = f"SIG{option[1:].removeprefix('SIG')}"
        if name in (*SIGNALS, "SIGKILL") and "-s" in self._option_string_actions:  # kill -INT PID
            hint = f"; did you mean -s {option[1:]}?"
        self.error(f"unrecognized arguments: {' '.join(words)}{hint}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # noqa: ANN401 - as argparse
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, unknown(value, action.choices))
