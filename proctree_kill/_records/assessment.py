"""What a record allows: whose it is, and whether its processes are still the ones it names."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from .._containment.recalled import RecalledTree
from .._engine.presence import Presence, Sighting, look_up
from .._engine.target import Target
from .._systems import boot_id, current
from .._systems.machine import machine_id, pid_namespace
from .._systems.member import identity_of
from .format import Intent, Record
from .report import RecordFate

START_ERROR = 0.02
"""Seconds by which a start may seem late: it is counted in clock ticks, and rounded twice."""


class Assessment(NamedTuple):
    """What is to be done with a record: keep or drop it, or end its target.

    Args:
        fate: what becomes of it; None where its target is to be ended first.
        detail: why.
        target: the tree that is to be ended.
        root: what was found under the number of its root.
    """

    fate: RecordFate | None = None
    detail: str | None = None
    target: Target | None = None
    root: Sighting = Sighting(Presence.DEAD)

    @property
    def new_owner(self) -> str | None:
        """A sentence about the process that has the number of the root now, if it is another."""
        return _new_owner(self.root.name) if self.root.presence is Presence.RECYCLED else None

    @property
    def fate_if_empty(self) -> RecordFate:
        """What becomes of the record where no member of the tree is found."""
        return RecordFate.GONE if self.new_owner is None else RecordFate.RECYCLED


def assess(entry: Intent, *, owned: bool, writer: int, uid: int | None) -> Assessment:
    """Return what may be done about an intent or a record.

    Args:
        entry: the intent or the record.
        owned: whether its tree is ended though its owner lives.
        writer: the uid of the owner of its file; 0 where the system has none.
        uid: the user with whose rights alone it may be acted upon; None: with ours.
    """
    origin = _assess_origin(entry)
    return origin or _assess_processes(entry, owned=owned, writer=writer, uid=uid)


def assess_bare(pid: int, written: float) -> Assessment:
    """Return what may be done about a number that is all a file holds.

    Args:
        pid: the number; its process is meant if it is older than the file, and our user's.
        written: when the file was written, in seconds since the epoch.
    """
    with current() as system:
        member, caller = system.bind(pid), system.bind(os.getpid())
        if member is None:
            return Assessment(RecordFate.GONE)
        before = time.time()
        shown = system.details(member)
        after = time.time()
        user = None if caller is None else system.details(caller).user
    root = Sighting(Presence.LIVES, member.name)
    if shown.seconds is None or shown.user is None or shown.user != user:
        detail = f"{member.name or 'its process'} is not known to be of our user"
        return Assessment(RecordFate.BARE, detail, root=root)
    if before - shown.seconds > written + START_ERROR:
        return Assessment(RecordFate.RECYCLED, _new_owner(member.name))
    if after - shown.seconds > written + START_ERROR:  # this process was held up in between
        detail = f"whether {member.name or 'its process'} is older than the file is not known"
        return Assessment(RecordFate.BARE, detail, root=root)
    return Assessment(target=identity_of(member), root=root)


def _assess_origin(entry: Intent) -> Assessment | None:
    """Assess an entry of another machine, boot or pid namespace; None where it is of this one."""
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


def _assess_processes(entry: Intent, *, owned: bool, writer: int, uid: int | None) -> Assessment:
    """Assess by the owner and the root: where one is in doubt, no process is touched."""
    identity = entry.identity if isinstance(entry, Record) else None
    root = Sighting(Presence.DEAD) if identity is None else look_up(identity)
    owner = look_up(entry.owner, entry.image)
    if not owned and owner.presence in (Presence.LIVES, Presence.UNKNOWN):
        return Assessment(RecordFate.OWNED, root=root)
    if owner.presence is Presence.LIVES and writer not in (0, *owner.uids):
        detail = f"uid {writer} wrote it about process {entry.owner.pid}, which is another user's"
        return Assessment(RecordFate.UNTRUSTED, detail, root=root)
    if uid is not None and root.presence is Presence.LIVES and root.uids[:1] != (uid,):
        detail = f"uid {uid} wrote it, and its root is a process of another user"
        return Assessment(RecordFate.UNTRUSTED, detail, root=root)
    if identity is None and owner.presence in (Presence.LIVES, Presence.UNKNOWN):
        return Assessment(RecordFate.OWNED, f"process {entry.owner.pid} is just starting it")
    if root.presence is Presence.UNKNOWN:
        detail = "it cannot be known whether its number still means the same process"
        return Assessment(RecordFate.UNREADABLE, detail, root=root)
    target = RecalledTree(
        entry.marker,
        identity,
        entry.cgroup,
        owner=entry.owner,
        uid=uid,
        ownerless=owner.presence is Presence.REPLACED,
        spare=entry.spare,
    )
    why = f"process {entry.owner.pid} runs another program now"
    return Assessment(None, why if owner.presence is Presence.REPLACED else None, target, root)


def _new_owner(name: str | None) -> str:
    return f"its number belongs to {name or 'another process'} now, which was not touched"
