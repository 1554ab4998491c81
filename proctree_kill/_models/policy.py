"""The options of a kill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError

from .base import Model
from .errors import PolicyError

_CONFIG_KEYS = {
    "graceful_timeout_seconds": "grace",
    "verification_wait_seconds": "settle",
    "tasklist_timeout_seconds": "helper_timeout",
}


class KillPolicy(Model):
    """The five options of a kill, frozen.

    Args:
        grace: seconds between the polite request and force (default 2 s); 0 forces at once.
        settle: seconds to wait for the deaths after force (default 5 s).
        terminate: which processes are asked: ``"tree"`` (default) all members, ``"root"`` only
            the root (systemd.kill(5), ``KillMode=mixed``).
        include_root: whether the root itself is ended (default True).
        helper_timeout: seconds that an external program may take (default 5 s, Windows only).

    Raises:
        PolicyError: an option is unknown, has the wrong type or is out of range.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    grace: float = Field(default=2.0, ge=0)
    settle: float = Field(default=5.0, ge=0)
    terminate: Literal["tree", "root"] = "tree"
    include_root: bool = True
    helper_timeout: float = Field(default=5.0, gt=0)

    if not TYPE_CHECKING:  # a type checker reads the fields as the signature

        def __init__(self, **options: Any) -> None:
            """Validate the options; one error names all problems."""
            try:
                super().__init__(**options)
            except ValidationError as error:
                raise PolicyError(*_sentences(error, type(self).model_fields)) from None

    def but(self, **options: object) -> Self:
        """Return this policy with some options replaced. None keeps the present value.

        Raises:
            PolicyError: as for the constructor.
        """
        given: dict[str, Any] = {
            name: value for name, value in options.items() if value is not None
        }
        return type(self)(**{**self.model_dump(), **given}) if given else self

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], section: str = "mcp_session.termination"
    ) -> Self:
        """Read the policy from the parsed configuration of an application.

        Keys are the names of the options, or ``graceful_timeout_seconds`` (grace),
        ``verification_wait_seconds`` (settle) and ``tasklist_timeout_seconds`` (helper_timeout).
        Without the section the defaults hold.

        Args:
            config: the whole configuration, as a YAML or JSON parser returns it.
            section: the dotted path of the section (default ``"mcp_session.termination"``).

        Raises:
            PolicyError: a key or a value is wrong; the error names all of them.
        """
        options: dict[str, Any] = {}
        problems: list[str] = []
        for key, value in _section(config, section).items():
            name = _CONFIG_KEYS.get(key, key)
            if name not in cls.model_fields:
                problems.append(f"{section}: {_unknown(key, [*_CONFIG_KEYS, *cls.model_fields])}")
            elif name in options:
                problems.append(f"{section}: {key!r} is given twice: it is {name!r} as well")
            else:
                options[name] = value
                wrong = _wrong(cls, {name: value})
                problems += [f"{section}: {key}{text.removeprefix(name)}" for text in wrong]
        if problems:
            raise PolicyError(*problems)
        return cls(**options)


def _wrong(policy: type[KillPolicy], option: dict[str, Any]) -> tuple[str, ...]:
    try:
        policy(**option)
    except PolicyError as error:
        return error.problems
    return ()


def _section(config: object, section: str) -> Mapping[str, Any]:
    # a part that is absent or empty counts as an empty section
    found: Any = config
    path = "the configuration"
    for name in [*section.split("."), None]:
        if not isinstance(found, Mapping):
            text = f"{path} is {found!r}, expected a mapping"
            raise PolicyError(text)
        if name is not None:
            value = found.get(name)
            found, path = {} if value is None else value, name
    return {str(key): value for key, value in found.items()}


def _sentences(error: ValidationError, known: Iterable[str]) -> list[str]:
    return [
        _unknown(str(problem["loc"][0]), known)
        if problem["type"] == "extra_forbidden"
        else f"{'.'.join(map(str, problem['loc']))} is {problem['input']!r}: {problem['msg']}"
        for problem in error.errors()
    ]


def _unknown(key: str, known: Iterable[str]) -> str:
    import difflib  # noqa: PLC0415 - only a mistake needs it

    names = list(known)
    near = difflib.get_close_matches(key, names, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(names)}"
    return f"{key!r} is unknown; {hint}"
