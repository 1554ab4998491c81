"""Containing what is started: a session of its own, and a marker in its environment."""

from __future__ import annotations

import os
import secrets
import subprocess
import weakref
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, Self, get_args

from . import _report
from ._gather import gather, read_markers
from ._identity import identity_of
from ._models import ProcessIdentity, TreeMember
from ._own_children import PREFIX
from ._platform import current
from ._target import Aim, Claim, Contained, HasPid, member_claims, started_pid
from .errors import ContainmentError

Requested = Literal["auto", "session", "kernel"]

"""How the names of markers begin; the random rest is in the *name*, so that an inner tree keeps
the marker of the outer one beside its own."""
HAS_SESSIONS = hasattr(os, "setsid")
NEW_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""Windows' flag for a group in the console, which has no sessions: CTRL_BREAK can be sent to it.

Ctrl-C does not reach it any more.
https://learn.microsoft.com/windows/win32/procthread/process-creation-flags
"""
NO_KERNEL = "this version cannot use a cgroup or a job object yet"


class Containment(Contained):
    """What keeps a tree together from its birth, whoever spawns its root.

    :class:`TreePopen` has one; for a process that another library spawns it is used by hand:
    :meth:`prepare` it, spawn with :meth:`popen_kwargs`, and :meth:`attach` what was spawned.
    It is a target: ``kill_tree(containment)`` ends the tree, also when nothing is attached.

    Attributes:
        requested: what was asked for: ``"auto"``, ``"session"`` or ``"kernel"``.
        session: whether the root leads a session of its own; known once it is attached.
        marker: the ``NAME=VALUE`` in the environment of everybody in the tree.
        cgroup: the folder of the tree's own cgroup; None where it has none.
        job: the job object of the tree; None where it has none.
        parent_exit: whether the tree ends when this process does.
        notes: what was not to be had, and why.
        identity: the root, as it was when it was attached.
    """

    def __init__(self, requested: Requested, marker: str, *, start_new_session: bool) -> None:
        """Begin with nothing attached; :meth:`prepare` is the way to make one."""
        self.requested = requested
        self.session = False
        self.marker = marker
        self.cgroup: Path | None = None
        self.job: str | None = None
        self.parent_exit = False
        self.notes: tuple[str, ...] = ()
        self.identity: ProcessIdentity | None = None
        self._apart = start_new_session
        self._process: weakref.ref[HasPid] | None = None
        self._left: list[TreeMember] | None = None
        self._everywhere = False

    @classmethod
    def prepare(cls, requested: Requested = "auto", *, start_new_session: bool = True) -> Self:
        """Get ready to contain one tree; nothing runs yet.

        Args:
            requested: ``"auto"`` takes what is to be had; ``"session"`` asks for no more than
                session and marker; ``"kernel"`` insists on a cgroup or a job object.
            start_new_session: whether the root shall lead a session of its own (POSIX),
                or a process group of its own in the console (Windows).
                Without one it keeps the terminal and its keys,
                orphans are known by the marker alone, and on Windows CTRL_BREAK cannot be sent.

        Raises:
            ContainmentError: the kernel's containment was asked for, and is not to be had.
            ValueError: that is none of the three.
        """
        if requested not in get_args(Requested):
            text = f"containment is {requested!r}, expected 'auto', 'session' or 'kernel'"
            raise ValueError(text)
        if requested == "kernel":
            raise ContainmentError(requested, NO_KERNEL)
        marker = f"{PREFIX}{secrets.token_hex(16)}=1"
        prepared = cls(requested, marker, start_new_session=start_new_session)
        if requested == "auto":
            prepared.notes = (NO_KERNEL,)
        return prepared

    @classmethod
    def recall(cls, marker: str, identity: ProcessIdentity | None = None) -> Self:
        """Stand for a tree that another process contained, which may be dead by now.

        Args:
            marker: the marker of that tree.
            identity: its root, where it is known.
        """
        recalled = cls("session", marker, start_new_session=False)
        recalled.identity = identity
        recalled._everywhere = True
        return recalled

    @property
    def kernel(self) -> bool:
        """Whether the kernel itself keeps the tree together, so that nobody can leave it."""
        return self.cgroup is not None or self.job is not None

    def popen_kwargs(self, env: Mapping[Any, Any] | None = None) -> dict[str, Any]:
        """Return the options for ``subprocess.Popen``, and whatever hands them on to it.

        Args:
            env: the environment that the process shall have; default that of this process.
        """
        name, _, value = self.marker.partition("=")
        options: dict[str, Any] = {"env": {**(os.environ if env is None else env), name: value}}
        if self._apart and HAS_SESSIONS:
            options["start_new_session"] = True
        elif self._apart and NEW_GROUP:
            options["creationflags"] = NEW_GROUP
        return options

    def attach(self, process: HasPid) -> None:
        """Take a process that was just spawned for the root of the tree.

        Args:
            process: what spawned it, or anything with its ``pid``; it is not kept alive.

        Raises:
            ContainmentError: another process is attached already.
            TypeError, ValueError: it is no started process.
        """
        if self.identity is not None:
            reason = f"it contains process {self.identity.pid} already; prepare one for each tree"
            raise ContainmentError(self.requested, reason)
        pid = started_pid(process)
        with closing(current()) as system:
            root = system.bind(pid)
            self.identity = (
                ProcessIdentity(pid=pid) if root is None else identity_of(root, system.boot_id)
            )
            self.session = root is not None and root.sid == pid
        self._process = weakref.ref(process)

    def remember(self) -> None:
        """Look who is left while the dead root still has its number, and with it its session.

        Once the root is reaped, a session proves nothing but by somebody who was seen in it.
        """
        with closing(current()) as system:
            if self.identity is not None and system.is_youngest(self.identity.pid):
                self._left = []
                return
            gathered = gather(
                system, self.aim(), None, read_markers([self.marker], None), include_root=True
            )
            if gathered.tree.sure:
                members = _report.snapshot(gathered, system.boot_id, None).members
                self._left = [one for one in members if one.identity != self.identity]

    @property
    def deserted(self) -> bool:
        """Whether the root was seen dead and nobody was left then."""
        return self._left == []

    def aim(self) -> Aim:
        """Name the root, whoever was left when it died, and the marker."""
        claims = [] if self.identity is None else [self._claim(self.identity)]
        return Aim([*claims, *member_claims(self._left or ())], [self.marker], self._everywhere)

    def _claim(self, identity: ProcessIdentity) -> Claim:
        """Name the root, with its owner where that still exists."""
        owner = None if self._process is None else self._process()
        return Claim(identity.pid, identity, owner=owner)

    def __repr__(self) -> str:
        root = "nobody yet" if self.identity is None else f"process {self.identity}"
        return f"<Containment of {root}: {self.requested}, {self.marker}>"
