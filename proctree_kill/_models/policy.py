"""The options of a kill."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self, cast

from pydantic import Field, model_validator

from .errors import PolicyError
from .options import Options
from .signal_names import signal_name
from .suggestion import unknown

_CONFIG_KEYS = {
    "graceful_timeout_seconds": "grace",
    "verification_wait_seconds": "settle",
    "tasklist_timeout_seconds": "helper_timeout",
}

Terminate = Literal["top-down", "tree", "root"]
Requests = tuple[tuple[str, float], ...]
Teardown = Sequence[tuple[str, float] | str]
"""Each a signal and its seconds; a policy holds the pairs."""


class KillPolicy(Options):
    """The six options of a kill, frozen.

    Args:
        grace: seconds between the first request and force (default 2 s); 0 forces at once.
        settle: seconds to wait for the deaths after force (default 5 s).
        terminate: how the tree is asked. ``"top-down"`` (default): a child after its parent, which
            may pass the request on; ``"tree"``: all members at once (systemd.kill(5),
            ``KillMode=control-group``); ``"root"``: only the root (``KillMode=mixed``).
        teardown: the requests, each a signal and its seconds: ``["SIGINT 3", "SIGTERM 2"]`` or
            ``[("SIGINT", 3), ("SIGTERM", 2)]``. Default: SIGTERM for the whole grace. The grace
            is their sum, so give only one of the two.
        include_root: whether the root itself is ended (default True).
        helper_timeout: seconds that an external program may take (default 5 s, Windows only).

    Raises:
        PolicyError: an option is unknown, has the wrong type or is out of range.
    """

    grace: float = Field(default=2.0, ge=0, description="seconds, 0 or more")
    settle: float = Field(default=5.0, ge=0, description="seconds, 0 or more")
    terminate: Terminate = Field(default="top-down", description="'top-down', 'tree' or 'root'")
    teardown: Teardown = ()
    include_root: bool = Field(default=True, description="True or False")
    helper_timeout: float = Field(default=5.0, gt=0, description="seconds above 0")

    @model_validator(mode="before")
    @classmethod
    def _read_teardown(cls, options: object) -> object:
        if not isinstance(options, Mapping):  # model_validate takes anything
            return options
        teardown = _teardown(options.get("teardown", ()))
        if not teardown:
            return {**options, "teardown": ()}
        total = sum(seconds for _, seconds in teardown)
        if options.get("grace", total) != total:
            text = (
                f"grace is {options['grace']!r}, but teardown takes {total:g} s; give one of them"
            )
            raise ValueError(text)
        return {**options, "teardown": teardown, "grace": total}

    @property
    def requests(self) -> Requests:
        """The requests, in order: each signal and the seconds that it has."""
        return cast("Requests", self.teardown) or (("SIGTERM", self.grace),)

    def but(self, **options: object) -> Self:
        """Return this policy with some options replaced. None keeps the present value.

        A grace replaces the teardown, and a teardown the grace.

        Raises:
            PolicyError: as for the constructor.
        """
        given = {name: value for name, value in options.items() if value is not None}
        replaced = {"grace": "teardown", "teardown": "grace"}
        dropped = {replaced.get(name) for name in given}
        kept = {name: value for name, value in self if name not in dropped}
        return type(self)(**{**kept, **given}) if given else self

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
            TypeError: ``section`` is no string.
        """
        options: dict[str, Any] = {}
        problems: list[str] = []
        for key, value in _section(config, section).items():
            name = _CONFIG_KEYS.get(key, key)
            if name not in cls.model_fields:
                problems.append(f"{section}: {unknown(key, [*_CONFIG_KEYS, *cls.model_fields])}")
            elif name in options:
                problems.append(f"{section}: {key!r} is given twice: it is {name!r} as well")
            else:
                options[name] = value
                wrong = _wrong(cls, {name: value})
                problems += [f"{section}: {key}{text.removeprefix(name)}" for text in wrong]
        if problems:
            raise PolicyError(*problems)
        return cls(**options)


def policy_or_default(policy: object) -> KillPolicy:
    """Return the policy that a caller passes; None means the defaults.

    Raises:
        TypeError: it is no policy.
    """
    if policy is None:
        return KillPolicy()
    if isinstance(policy, KillPolicy):
        return policy
    text = (
        f"policy must be a KillPolicy, as KillPolicy(grace=1.0), not {policy!r}; "
        "KillPolicy.from_config reads a configuration"
    )
    raise TypeError(text)


def _wrong(policy: type[KillPolicy], option: dict[str, Any]) -> tuple[str, ...]:
    try:
        policy(**option)
    except PolicyError as error:
        return error.problems
    return ()


def _section(config: object, section: object) -> Mapping[str, Any]:
    # a part that is absent or empty counts as an empty section
    if not isinstance(section, str):
        text = f"section must be a dotted path, as 'mcp_session.termination', not {section!r}"
        raise TypeError(text)
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


def _teardown(value: object) -> Requests:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        text = f"teardown is {value!r}, expected a list as [('SIGINT', 3), ('SIGTERM', 2)]"
        raise ValueError(text)  # noqa: TRY004 - pydantic reports a ValueError
    return tuple(_request(entry) for entry in value)


def _request(entry: object) -> tuple[str, float]:
    """Read ``("SIGINT", 3)``, ``(signal.SIGINT, 3)`` or ``"SIGINT 3"``."""
    parts = entry.split() if isinstance(entry, str) else entry
    if not isinstance(parts, Sequence) or len(parts) != 2:  # noqa: PLR2004 - a pair
        text = f"teardown holds {entry!r}, expected a signal and its seconds, as ('SIGINT', 3)"
        raise ValueError(text)
    try:
        name = signal_name(str(getattr(parts[0], "name", parts[0])))
    except ValueError as error:
        text = f"teardown holds {entry!r}: {error}"
        raise ValueError(text) from None
    try:
        seconds = float(parts[1])
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        text = f"teardown holds {entry!r}: {parts[1]!r} is no number of seconds above 0"
        raise ValueError(text)
    return name, seconds
