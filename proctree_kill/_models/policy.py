"""How long to wait and whom to ask: the options of a kill. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import PolicyError

_CONFIG_KEYS = {
    "graceful_timeout_seconds": "grace",
    "verification_wait_seconds": "settle",
    "tasklist_timeout_seconds": "helper_timeout",
}


class KillPolicy(BaseModel):
    """The five options of a kill, frozen.

    Args:
        grace: seconds between the polite request and the force; 0 forces at once.
        settle: seconds after the force within which death must be confirmed.
        terminate: ``"tree"`` asks everybody, ``"root"`` only the root (systemd's *mixed* mode).
        include_root: whether the root itself dies.
        helper_timeout: seconds that an external helper may take (Windows only).

    Raises:
        PolicyError: an option is unknown, of the wrong type or out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    grace: float = Field(default=2.0, ge=0)
    settle: float = Field(default=5.0, ge=0)
    terminate: Literal["tree", "root"] = "tree"
    include_root: bool = True
    helper_timeout: float = Field(default=5.0, gt=0)

    if not TYPE_CHECKING:  # a type checker reads the fields as the signature

        def __init__(self, **options: Any) -> None:
            """Validate the options and say in one error what is wrong with them."""
            try:
                super().__init__(**options)
            except ValidationError as error:
                raise PolicyError(*_sentences(error, type(self).model_fields)) from None

    def but(self, **options: object) -> Self:
        """Return this policy with some options replaced; None leaves one as it is.

        Raises:
            PolicyError: as for the constructor.
        """
        given: dict[str, Any] = {name: one for name, one in options.items() if one is not None}
        return type(self)(**{**self.model_dump(), **given}) if given else self

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], section: str = "mcp_session.termination"
    ) -> Self:
        """Read the policy from an application's parsed configuration.

        The keys are the application's own: ``graceful_timeout_seconds`` (grace),
        ``verification_wait_seconds`` (settle), ``tasklist_timeout_seconds`` (helper_timeout);
        the names of the options serve as well.
        Where the section is absent, the defaults hold.

        Args:
            config: the whole configuration, as a YAML or JSON parser returns it.
            section: the dotted path of the section.

        Raises:
            PolicyError: one error that names every wrong key and value.
        """
        options: dict[str, Any] = {}
        problems: list[str] = []
        for key, value in _section(config, section).items():
            name = _CONFIG_KEYS.get(key, key)
            if name not in cls.model_fields:
                problems.append(f"{section}: {_unknown(key, [*_CONFIG_KEYS, *cls.model_fields])}")
            elif name in options:
                problems.append(f"{section}: {key!r} is given twice, by two names of {name!r}")
            else:
                options[name] = value
                wrong = _wrong(cls, {name: value})
                problems += [f"{section}: {key}{text.removeprefix(name)}" for text in wrong]
        if problems:
            raise PolicyError(*problems)
        return cls(**options)


def _wrong(policy: type[KillPolicy], option: dict[str, Any]) -> tuple[str, ...]:
    """Say what is wrong with one option."""
    try:
        policy(**option)
    except PolicyError as error:
        return error.problems
    return ()


def _section(config: object, section: str) -> Mapping[str, Any]:
    """Descend to a dotted section; what is absent or empty counts as an empty section."""
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
    """Turn pydantic's findings into sentences that name the value and what was expected."""
    return [
        _unknown(str(one["loc"][0]), known)
        if one["type"] == "extra_forbidden"
        else f"{'.'.join(map(str, one['loc']))} is {one['input']!r}: {one['msg']}"
        for one in error.errors()
    ]


def _unknown(key: str, known: Iterable[str]) -> str:
    """Name an unknown key and its neighbours."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    names = list(known)
    near = difflib.get_close_matches(key, names, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(names)}"
    return f"{key!r} is unknown; {hint}"
