"""Whether a process that was identified earlier is still there, and runs the same program."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from .._models.identity import Image, ProcessIdentity, is_replaced
from .._systems import current
from .._systems.image import image
from .._systems.member import ALIVE, is_same


class Presence(Enum):
    """Whether an identified process is still there."""

    LIVES = "lives"
    REPLACED = "replaced"
    """It runs another program by now: it knows nothing of what it started before."""
    DEAD = "dead"
    """Its number is free, or belongs to its zombie."""
    RECYCLED = "recycled"
    """Its number belongs to another process."""
    UNKNOWN = "unknown"
    """Its number belongs to a process that cannot be compared."""


class Sighting(NamedTuple):
    """What was found under a number: the name of its process, its real and effective uid."""

    presence: Presence
    name: str | None = None
    uids: tuple[int, ...] = ()


def look_up(identity: ProcessIdentity, ran: Image = ()) -> Sighting:
    """Look for a process that was identified earlier, perhaps by another process.

    Args:
        identity: the process.
        ran: the program image that it ran then; without tokens any will do.
    """
    with current() as system:
        member = system.bind(identity.pid)
        if member is None:
            return Sighting(Presence.DEAD)
        same, uids = is_same(member, identity), tuple(system.uids(member))
    if same is None:
        return Sighting(Presence.UNKNOWN, member.name)
    if not same:
        return Sighting(Presence.RECYCLED, member.name)
    if member.state != ALIVE:
        return Sighting(Presence.DEAD, member.name, uids)
    replaced = bool(ran) and is_replaced(ran, image(identity.pid))
    return Sighting(Presence.REPLACED if replaced else Presence.LIVES, member.name, uids)
