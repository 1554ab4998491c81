"""The names and the defaults of options that are handed on to ``subprocess.Popen``."""

from __future__ import annotations

import inspect
import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from .._models.suggestion import unknown

_POPEN: Any = subprocess.Popen.__init__
_F = TypeVar("_F", bound=Callable[..., Any])


def options_of(*functions: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the options of these and of ``Popen``, by name; the first that has one counts."""
    found: dict[str, inspect.Parameter] = {}
    for function in (*functions, _POPEN):
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.default is not parameter.empty:
                found.setdefault(name, parameter.replace(kind=parameter.KEYWORD_ONLY))
    return found


def check_names(call: str, given: Iterable[str], known: Collection[str]) -> None:
    """Check the names of options.

    Raises:
        TypeError: one is unknown; the message has the nearest name.
    """
    for name in given:
        if name not in known:
            text = f"{call}(): {unknown(name, known)}"
            raise TypeError(text)


def with_options(options: Mapping[str, inspect.Parameter], returns: str) -> Callable[[_F], _F]:
    """Have ``inspect.signature`` show these options of a function that hands them on."""

    def show(function: _F) -> _F:
        first = next(iter(inspect.signature(function).parameters.values()))
        parameters = [first, *options.values()]
        signature = inspect.Signature(parameters, return_annotation=returns)
        function.__signature__ = signature  # type: ignore[attr-defined] # inspect reads it
        return function

    return show
