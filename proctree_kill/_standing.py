"""Whether the process that was written down is still the one: yes, no, or nobody can tell."""

from __future__ import annotations

from contextlib import closing
from enum import Enum
from typing import NamedTuple

from ._identity import identity_of
from ._member import ALIVE
from ._models import ProcessIdentity
from ._platform import current


class Standing(Enum):
    """How a process stands."""

    LIVES = "lives"
    DEAD = "dead"
    """Its number is free, or a zombie's whose last thread has ended."""
    RECYCLED = "recycled"
    UNKNOWN = "unknown"


class Look(NamedTuple):
    """What was found under a number."""

    standing: Standing
    name: str | None = None


def look(identity: ProcessIdentity) -> Look:
    """Look at a process that was identified earlier, perhaps by somebody who is dead."""
    with closing(current()) as system:
        member = system.bind(identity.pid)
        if member is None:
            return Look(Standing.DEAD)
        same = identity.same_process(identity_of(member, system.boot_id))
        if same is None:
            return Look(Standing.UNKNOWN, member.name)
        if not same:
            return Look(Standing.RECYCLED, member.name)
        return Look(Standing.LIVES if member.state == ALIVE else Standing.DEAD, member.name)
