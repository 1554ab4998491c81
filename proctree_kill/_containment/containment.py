"""Containing what is started: a session of its own, and a marker in its environment."""

from __future__ import annotations

import os
import subprocess
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Self, get_args

from .._engine import markers, report
from .._engine.gather import gather
from .._engine.target import Aim, Claim, Contained, HasPid, member_claims, read_markers, started_pid
from .._models.errors import ContainmentError
from .._models.identity import ProcessIdentity
from .._models.tree import Evidence, TreeMember
from .._running import threads
from .._systems import cell, current, recorded_cell
from .._systems.contract import Cell, System, UnavailableError
from .._systems.member import identity_of, mask
from .guard import REQUESTED, guard

Requested = Literal["auto", "session", "kernel"]
HAS_SESSIONS = hasattr(os, "setsid")
MOVED = "the root was moved there after its start: what it had lost by then may be outside"
SWEEPS = 5
"""How often we look for somebody outside; each time everybody who was known is inside."""
LOOK = 1.0
"""Seconds that the look before a dead root is reaped may take: in a storm it could take many."""
NEW_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""Windows' flag for a group in the console, which has no sessions: CTRL_BREAK can be sent to it.

Ctrl-C does not reach it any more.
https://learn.microsoft.com/windows/win32/procthread/process-creation-flags
"""


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
        job: the name of the tree's own job object; None where it has none.
        parent_exit: whether the tree ends when this process does.
        records: files that the guard removes when it has ended the tree.
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
        self._cell: Cell | None = None
        self._entered = self._waits = False
        self.parent_exit = self._guarded = False
        self.records: tuple[Path, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.identity: ProcessIdentity | None = None
        self._apart = start_new_session
        self._process: weakref.ref[HasPid] | None = None
        self._left: list[TreeMember] | None = None
        self._everywhere = False
        self._maker = os.getpid()
        self._bystanders: list[ProcessIdentity] = []
        self._uid: int | None = None

    @classmethod
    def prepare(
        cls,
        requested: Requested = "auto",
        *,
        start_new_session: bool = True,
        kill_on_parent_exit: bool = False,
    ) -> Self:
        """Get ready to contain one tree; nothing runs yet.

        Args:
            requested: ``"auto"`` takes what is to be had; ``"session"`` asks for no more than
                session and marker; ``"kernel"`` insists on a cgroup or a job object.
            start_new_session: whether the root shall lead a session of its own (POSIX),
                or a process group of its own in the console (Windows).
                Without one it keeps the terminal and its keys,
                orphans are known by the marker alone, and on Windows CTRL_BREAK cannot be sent.
            kill_on_parent_exit: whether the tree ends when this process does, however that is.

        Raises:
            ContainmentError: the kernel's containment was asked for, and is not to be had.
            ValueError: that is none of the three.
        """
        if requested not in get_args(Requested):
            text = f"containment is {requested!r}, expected 'auto', 'session' or 'kernel'"
            raise ValueError(text)
        prepared = cls(requested, markers.new(), start_new_session=start_new_session)
        try:
            threads.do(lambda: prepared._get(dies_with_owner=kill_on_parent_exit))
        except BaseException:  # of a signal handler too, which may come when all is there
            threads.do(prepared.release)
            raise
        return prepared

    @classmethod
    def recall(
        cls,
        marker: str,
        identity: ProcessIdentity | None = None,
        cgroup: str | None = None,
        *,
        owner: ProcessIdentity | None = None,
        uid: int | None = None,
    ) -> Self:
        """Stand for a tree that another process contained, which may be dead by now.

        Args:
            marker: the marker of that tree.
            identity: its root, where it is known.
            cgroup: the folder of its own cgroup, where it had one; one that is not of ours is
                not touched.
            owner: the process that contained it, which is not touched if it lives, and must have
                made the cgroup; None: any.
            uid: the user with whose rights alone the tree is ended, that is, the real uid of each
                process of it; None: with ours.

        Raises:
            OSError: the cgroup cannot be looked at, for want of descriptors or memory.
        """
        recalled = cls("session", marker, start_new_session=False)
        recalled.identity = identity
        recalled._everywhere = True
        recalled._bystanders = [] if owner is None else [owner]
        recalled._uid = uid
        if cgroup is not None and (found := recorded_cell(cgroup, owner, uid)) is not None:
            recalled._keep(found)
        return recalled

    @property
    def kernel(self) -> bool:
        """Whether the kernel itself keeps the tree together, so that nobody can leave it."""
        return self.cgroup is not None or self.job is not None

    def popen_kwargs(self, env: Mapping[Any, Any] | None = None) -> dict[str, Any]:
        """Return the options for ``subprocess.Popen``, and whatever hands them on to it.

        On Windows, inside :meth:`spawning`, they have the process wait for :meth:`attach`.

        Args:
            env: the environment that the process shall have; default that of this process.
        """
        name, _, value = self.marker.partition("=")
        options: dict[str, Any] = {"env": {**(os.environ if env is None else env), name: value}}
        if self._apart and HAS_SESSIONS:
            options["start_new_session"] = True
        flags = NEW_GROUP if self._apart else 0
        if self._cell is not None and self._entered and self._cell.creation_flags:
            flags |= self._cell.creation_flags
            self._waits = True
        if flags:
            options["creationflags"] = flags
        return options

    def attach(self, process: HasPid) -> None:
        """Take a process that was just spawned for the root of the tree.

        Args:
            process: what spawned it, or anything with its ``pid``; it is not kept alive.

        Raises:
            ContainmentError: another process is attached already, or the kernel does not take
                this one in; where it was to wait for that, it waits still, for its owner to end it.
            OSError: it was to wait, and the system does not let it run.
            TypeError, ValueError: it is no started process.
        """
        self._refuse_forked()
        if self.identity is not None:
            reason = f"it contains process {self.identity.pid} already; prepare one for each tree"
            raise ContainmentError(self.requested, reason)
        pid = started_pid(process)
        with closing(current()) as system:
            self.attach_by(system, process, pid)

    def attach_by(self, system: System, process: HasPid, pid: int) -> None:
        """Do what :meth:`attach` does, by a system that was there before the process."""
        root = system.bind(pid)
        self.identity = ProcessIdentity(pid=pid) if root is None else identity_of(root)
        self.session = root is not None and root.sid == pid
        self._process = weakref.ref(process)
        self._left = None
        if self._guarded:
            self._guard()
        if self._cell is not None:
            self._bring_in(self._cell, system, pid)

    @contextmanager
    def spawning(self) -> Iterator[None]:
        """Have the root born in the tree's own cgroup or job object, where it has one.

        What this thread starts inside the block, with :meth:`popen_kwargs` of the block, is in it
        from its first instruction, and so is everybody below it.
        Without the block :meth:`attach` moves the root there, and whoever it has started by then.

        Raises:
            ContainmentError: the kernel does not let us in, and its containment was asked for.
            OSError: what was born inside cannot be moved on; it is to be ended.
        """
        self._refuse_forked()
        with ExitStack() as stack:
            if self._cell is not None:
                try:
                    stack.enter_context(self._cell.spawning(threads.do))
                    self._entered = True
                except OSError as error:
                    self._do_without(f"no process can be born in {self._cell.name}: {error}")
            yield

    def release(self) -> bool:
        """Give what the kernel lent back, if nobody lives in it; tell whether that was so.

        That is the cgroup or the job object, and the guard.
        It is done when :func:`kill_tree` has ended the tree; a cgroup that is empty is removed
        when this object is collected as well, and at exit.
        """
        if self._cell is not None and not self._cell.remove():
            return False
        if self._guarded:
            guard().forget(self.marker)
        return True

    def also_remove(self, *records: Path) -> None:
        """Have the guard remove these files, which hold the marker, when it has ended the tree."""
        self._refuse_forked()
        self.records = records
        if self._guarded:
            self._guard()

    def _get(self, *, dies_with_owner: bool) -> None:
        """Get what was asked for.

        Raises:
            ContainmentError: it is not to be had.
        """
        if self.requested != "session":
            try:
                self._keep(cell(dies_with_owner=dies_with_owner))
            except UnavailableError as error:
                self._do_without(str(error))
        if dies_with_owner:
            self._end_with_us()

    def _end_with_us(self) -> None:
        """Have the tree ended when this process ends: by its job object, or by the guard.

        Raises:
            ContainmentError: neither is to be had.
        """
        if self._cell is None or not self._cell.dies_with_owner:
            self._guarded = True  # before it is told: a start that is undone has it forget the tree
            self._guard()
        self.parent_exit = True

    def _guard(self) -> None:
        """Tell the guard of the tree; again with what is known of it since.

        Raises:
            ContainmentError: no guard is to be had.
        """
        cgroup = None if self.cgroup is None else str(self.cgroup)
        try:
            guard().watch(self.marker, cgroup=cgroup, identity=self.identity, records=self.records)
        except BaseException:
            if self.identity is None:
                self.release()
            raise

    def remember(self) -> None:
        """Look who is left while the dead root still has its number, and with it its session.

        Not where a kill has just seen that nobody is.
        Once the root is reaped, a session proves nothing but by somebody who was seen in it.
        """
        if self.deserted:
            return
        with closing(current()) as system:
            if self.identity is not None and system.is_youngest(self.identity.pid):
                self._end()
                return
            gathered = gather(
                system,
                self.aim(),
                None,
                read_markers([self.marker], None),
                include_root=True,
                deadline=system.now() + LOOK,
            )
            if gathered.tree.sure:
                members = report.snapshot(gathered, None).members
                left = [one for one in members if one.identity != self.identity]
                if left or gathered.tree.proved:
                    self._left = left
                if self.deserted:
                    self._end()

    @property
    def deserted(self) -> bool:
        """Whether the root was seen dead and nobody was left then."""
        return self._left == []

    def aim(self) -> Aim:
        """Name the root, whoever was left when it died, and the marker."""
        claims = [] if self.identity is None else [self._claim(self.identity)]
        return Aim(
            [*claims, *member_claims(self._left or ())],
            [self.marker],
            self._everywhere,
            self._cells(),
            [self._end],
            self.forked if self.is_forked else None,
            self._bystanders,
            self._uid,
            (self.identity and self.identity.start) or 0,
        )

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked child of the process that made it."""
        return os.getpid() != self._maker

    @property
    def forked(self) -> str:
        """Why a forked child must not touch the tree."""
        return f"it belongs to process {self._maker}, of which this is a fork"

    def _refuse_forked(self) -> None:
        """Refuse a forked child.

        Raises:
            ContainmentError: this is one.
        """
        if self.is_forked:
            raise ContainmentError(self.requested, self.forked)

    def _end(self, proved: bool = True) -> None:  # noqa: FBT001, FBT002 - a callback's
        """Note that everybody is dead, and whether nobody can have been missed.

        Who is dying still keeps the cgroup for a moment; it goes with the next one.
        """
        gone = self.release()
        if proved:
            self._left = []
            if not gone:
                self._abandon()

    def _abandon(self) -> None:
        """Leave what the kernel lent to its own end, and the guard to others."""
        if self._cell is not None:
            self._cell.abandon()
        if self._guarded:
            guard().forget(self.marker)

    def _cells(self) -> list[Cell]:
        """Return what the kernel keeps the tree in, if anything."""
        return [] if self._cell is None else [self._cell]

    def _keep(self, cell: Cell) -> None:
        """Let the kernel keep the tree together."""
        self._cell = cell
        self.cgroup = Path(cell.name) if cell.kind == "cgroup" else None
        self.job = cell.name if cell.kind == "job" else None
        weakref.finalize(self, cell.abandon)

    def _do_without(self, reason: str) -> None:
        """Give the kernel's containment up.

        Raises:
            ContainmentError: it was asked for, or was to end the tree with this process.
        """
        self.release()
        needed = self.parent_exit and not self._guarded
        self._cell = self.cgroup = self.job = None
        if self.requested == "kernel" or needed:
            raise ContainmentError(REQUESTED if needed else self.requested, reason)
        self.notes = (*self.notes, reason)

    def _bring_in(self, cell: Cell, system: System, pid: int) -> None:
        """Have the root in its cell, and let it run."""
        if not self._entered or (cell.creation_flags and not self._waits):
            self._take_in(cell, system)
        elif self._waits:
            try:
                cell.adopt(pid)
            except OSError as error:
                self._do_without(f"process {pid} cannot be taken into {cell.name}: {error}")
            cell.start(pid)

    def _take_in(self, cell: Cell, system: System) -> None:
        """Move every known process of the tree into its cell, until none is outside.

        What the root started and lost before that is known by session and marker alone.
        """
        evidence = {Evidence.CGROUP, Evidence.JOB}
        for _ in range(SWEEPS):
            found = gather(system, self.aim(), None, [], include_root=True).tree.members
            members = [one for one in found if not mask(evidence) & one.evidence]
            for one in members:
                with suppress(OSError):
                    cell.adopt(one.pid)
                    if not system.owns_number(one):
                        cell.expel(one.pid)
            if not members:
                break
        self.notes = (*self.notes, MOVED)

    def _claim(self, identity: ProcessIdentity) -> Claim:
        """Name the root, with its owner where that still exists."""
        owner = None if self._process is None else self._process()
        return Claim(identity.pid, identity, owner=owner)

    def __repr__(self) -> str:
        root = "nobody yet" if self.identity is None else f"process {self.identity}"
        return f"<Containment of {root}: {self.requested}, {self.marker}>"
