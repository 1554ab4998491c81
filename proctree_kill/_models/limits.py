"""How much of the machine one tree may use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self, TypedDict

from pydantic import Field, field_validator

from .options import Options

MAX_PROCESSES = 4_194_304
"""No Linux has more at one time (PID_MAX_LIMIT)."""
MAX_MEMORY = 2**63 - 1  # bytes
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([KMGT]?)(?:(?<=[KMGT])I)?B?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}  # of 1,024


class LimitChanges(TypedDict, total=False):
    """Limits of a tree that runs; None lifts one."""

    memory: int | str | None
    processes: int | None
    cpu: float | None


class Limits(Options):
    """How much of the machine a whole tree may use, frozen; None is no limit.

    Args:
        memory: bytes, or text such as ``"2G"``, ``"512M"`` or ``"1.5GiB"``: K, M, G and T are
            powers of 1,024.
        processes: how many may live at one time, 1 or more; on Linux each thread counts.
        cpu: cores, 0.01 or more: 1.5 is the time of one and a half.

    Raises:
        PolicyError: a limit is unknown, has the wrong type or is out of range.
    """

    memory: int | None = Field(
        default=None,
        gt=0,
        le=MAX_MEMORY,
        description="bytes above 0, or text as '2G', '512M' or '1.5GiB'",
    )
    processes: int | None = Field(
        default=None,
        ge=1,
        le=MAX_PROCESSES,
        description=f"a whole number from 1 to {MAX_PROCESSES}",
    )
    cpu: float | None = Field(
        default=None, ge=0.01, le=1_000_000, description="a number of cores, 0.01 or more"
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            memory: int | str | None = None,
            processes: int | None = None,
            cpu: float | None = None,
        ) -> None:
            """Take the limits; pydantic reads text."""

    @field_validator("memory", mode="before")
    @classmethod
    def _read_memory(cls, value: object) -> object:
        found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
        size = 0 if found is None else int(float(found[1]) * 1024 ** _POWERS[found[2].upper()])
        return size if 0 < size <= MAX_MEMORY else value  # so that an error shows the text

    @property
    def given(self) -> dict[str, int | float]:
        """The limits that there are, by name."""
        return {name: value for name, value in self if value is not None}

    def but(self, **changes: Any) -> Self:
        """Return these limits with some replaced; None lifts a limit.

        Raises:
            PolicyError: as for the constructor.
        """
        return type(self)(**{**dict(self), **changes})


def limits_or_none(limits: object) -> Limits | None:
    """Return the limits that a caller passes; None where there is nothing to limit.

    Raises:
        TypeError: they are no limits.
    """
    if limits is None:
        return None
    if isinstance(limits, Limits):
        return limits if limits.given else None
    text = f'limits must be Limits, as Limits(memory="2G"), not {limits!r}'
    raise TypeError(text)
