"""What a record allows: whose it is, and whether its processes are still the ones it names."""

from __future__ import annotations

import os
import time
from contextlib import closing
from typing import NamedTuple

from .._containment.containment import Containment
from .._engine.process import Presence, Sighting, sight
from .._engine.target import Target
from .._systems import boot_id, current
from .._systems.machine import machine_id, pid_namespace
from .._systems.member import identity_of
from .format import Intent, Record
from .report import RecordFate

GRAIN = 0.02
"""Seconds by which a start may seem late: it is told in clock ticks, rounded twice."""


class Assessment(NamedTuple):
    """What is to be done with a record: keep or drop it, or end its target.

    Args:
        fate: what becomes of it; None where its target is to be ended first.
        detail: why.
        target: whom to end.
        root: what was found under the number of its root.
    """

    fate: RecordFate | None = None
    detail: str | None = None
    target: Target | None = None
    root: Sighting = Sighting(Presence.DEAD)

    @property
    def recycled(self) -> bool:
        """Whether somebody else has the number of the root by now."""
        return self.root.presence is Presence.RECYCLED

    @property
    def stranger(self) -> str | None:
        """Say who has the number of the root by now, if it is somebody else."""
        return _belongs_to(self.root.name) if self.recycled else None


def judge(entry: Intent, *, owned: bool, writer: int, uid: int | None) -> Assessment:
    """Say what may be done about an intent or a record.

    Args:
        entry: which.
        owned: whether its tree is ended though its owner lives.
        writer: the uid of the owner of its file; 0 where there are none.
        uid: the user with whose rights alone it may be acted upon; None: with ours.
    """
    return _of_elsewhere(entry) or _of_here(entry, owned=owned, writer=writer, uid=uid)


def judge_bare(pid: int, written: float) -> Assessment:
    """Say what may be done about a number that is all there is.

    Args:
        pid: the number; its process is meant if it is older than the file, and our user's.
        written: when the file was written, in seconds since the epoch.
    """
    with closing(current()) as system:
        member = system.bind(pid)
        if member is None:
            return Assessment(RecordFate.GONE)
        identity = identity_of(member)
        shown, ourselves = system.show(member), _our_user()
    root = Sighting(Presence.LIVES, member.name)
    if shown.seconds is None or shown.user is None or shown.user != ourselves:
        detail = f"{member.name or 'its process'} is not known to be of our user"
        return Assessment(RecordFate.BARE, detail, root=root)
    if time.time() - shown.seconds > written + GRAIN:
        return Assessment(RecordFate.RECYCLED, _belongs_to(member.name))
    return Assessment(target=identity, root=root)


def _of_elsewhere(entry: Intent) -> Assessment | None:
    """Judge what is not of this machine, boot and pid namespace."""
    boot = boot_id()
    known = None not in (entry.machine_id, machine_id())
    same_boot = entry.owner.boot_id == boot
    if known and entry.machine_id != machine_id():
        return Assessment(RecordFate.FOREIGN, "it is of another machine")
    if not known and (boot is None or not same_boot):
        return Assessment(RecordFate.FOREIGN, "it cannot be known whether it is of this machine")
    if not same_boot:
        if None in (boot, entry.owner.boot_id):
            return Assessment(RecordFate.FOREIGN, "it cannot be known whether it is of this boot")
        return Assessment(RecordFate.GONE, "it is of an earlier boot")
    if entry.pid_namespace != pid_namespace():
        return Assessment(RecordFate.FOREIGN, "it is of another pid namespace")
    return None


def _of_here(entry: Intent, *, owned: bool, writer: int, uid: int | None) -> Assessment:
    """Judge by the owner and the root: where one of them is in doubt, nobody is touched."""
    identity = entry.identity if isinstance(entry, Record) else None
    root = Sighting(Presence.DEAD) if identity is None else sight(identity)
    owner = sight(entry.owner)
    if not owned and owner.presence in (Presence.LIVES, Presence.UNKNOWN):
        return Assessment(RecordFate.OWNED, root=root)
    if owner.presence is Presence.LIVES and writer not in (0, *owner.users):
        detail = f"uid {writer} wrote it about process {entry.owner.pid}, which is another user's"
        return Assessment(RecordFate.UNTRUSTED, detail, root=root)
    if uid is not None and root.presence is Presence.LIVES and root.users[:1] != (uid,):
        detail = f"uid {uid} wrote it, and its root is a process of another user"
        return Assessment(RecordFate.UNTRUSTED, detail, root=root)
    if identity is None and owner.presence in (Presence.LIVES, Presence.UNKNOWN):
        return Assessment(RecordFate.OWNED, f"process {entry.owner.pid} is just starting it")
    if root.presence is Presence.UNKNOWN:
        detail = "it cannot be known whether its number still means the same process"
        return Assessment(RecordFate.UNREADABLE, detail, root=root)
    target = Containment.recall(entry.marker, identity, entry.cgroup, owner=entry.owner, uid=uid)
    return Assessment(target=target, root=root)


def _our_user() -> str | None:
    """Return in whose name we act."""
    with closing(current()) as system:
        member = system.bind(os.getpid())
        return None if member is None else system.show(member).user


def _belongs_to(name: str | None) -> str:
    """Name a new owner of a number."""
    return f"its number belongs to {name or 'another process'} now, which was not touched"
