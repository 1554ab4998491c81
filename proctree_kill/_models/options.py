"""The base of options that a user passes: one error names all that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict, ValidationError

from .base import Model
from .errors import PolicyError
from .suggestion import unknown

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails


class Options(Model):
    """A model whose error is a :class:`PolicyError` with a sentence for each wrong option.

    The description of a field is what a sentence says was expected.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    if not TYPE_CHECKING:  # a type checker reads the fields as the signature
        # Pydantic would show *values of __init__ in the signature.
        def __new__(cls, *values: object, **_: object) -> Self:
            """Refuse values without names."""
            if values:
                name = next(iter(cls.model_fields))
                text = f"{cls.__name__}() takes options by name, as {name}=..., not {values[0]!r}"
                raise TypeError(text)
            return super().__new__(cls)

        def __init__(self, **options: Any) -> None:
            """Validate the options; one error names all problems."""
            try:
                super().__init__(**options)
            except ValidationError as error:
                raise PolicyError(*_sentences(error, type(self).model_fields)) from None


def _sentences(error: ValidationError, known: Mapping[str, FieldInfo]) -> list[str]:
    return [_sentence(problem, known) for problem in error.errors()]


def _sentence(problem: ErrorDetails, known: Mapping[str, FieldInfo]) -> str:
    if not problem["loc"]:
        return str(problem["ctx"]["error"])
    name = str(problem["loc"][0])
    if name not in known:
        return unknown(name, known)
    return f"{name} is {problem['input']!r}, expected {known[name].description}"
