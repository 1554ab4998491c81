"""``Containment``: how a tree is kept together from its start, so that all of it is found again."""

from __future__ import annotations

import os
import subprocess
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from .._engine import markers, usage
from .._engine.kill import look
from .._engine.pids import HasPid, started_pid
from .._engine.spare import check_texts, refuse_given
from .._engine.target import Aim, Claim, Contained, member_claims
from .._engine.tree import Tree
from .._models.errors import ContainmentError, PolicyError
from .._models.identity import ProcessIdentity
from .._models.limits import LimitChanges, Limits, limits_or_none
from .._models.tree import TreeMember
from .._models.usage import Usage
from .._running import threads
from .._systems import current
from .._systems.contract import CpuSeconds, System
from .._systems.member import identity_of, leaves_first, model_of
from .cell import TreeCell
from .guard import guard

if TYPE_CHECKING:
    from typing import Unpack

Requested = Literal["auto", "session", "kernel"]

HAS_SESSIONS = hasattr(os, "setsid")
LOOK_TIME = 1.0
"""Seconds that the look before a dead root is reaped may take: in a storm it could take many."""
NEW_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""Windows' flag for a group in the console, which has no sessions: CTRL_BREAK can be sent to it.

Ctrl-C does not reach it any more.
https://learn.microsoft.com/windows/win32/procthread/process-creation-flags
"""


class Containment(Contained):
    """What keeps a tree together from its start, whichever library starts its root.

    :class:`TreePopen` has one. For a process that another library spawns, use it by hand:
    :meth:`prepare` it, spawn with :meth:`popen_kwargs`, and :meth:`attach` what was spawned.
    It is a target: ``kill_tree(containment)`` ends the tree, also when nothing is attached.

    Attributes:
        requested: what was asked for: ``"auto"``, ``"session"`` or ``"kernel"``.
        session: whether the root leads a session of its own; known once it is attached.
        marker: the ``NAME=VALUE`` in the environment of each member.
        parent_exit: whether the tree ends when this process does.
        records: files that the guard removes when it has ended the tree.
        spare: names and markers of processes that the guard leaves alone.
        identity: the root, as it was when it was attached.
    """

    def __init__(
        self,
        requested: Requested,
        marker: str,
        limits: Limits | None = None,
        *,
        start_new_session: bool,
    ) -> None:
        """Begin with nothing attached; :meth:`prepare` is the way to make one."""
        self.requested = requested
        self.session = False
        self.marker = marker
        self.parent_exit = False
        self.records: tuple[Path, ...] = ()
        self.spare: tuple[str, ...] = ()
        self.identity: ProcessIdentity | None = None
        self._cell = TreeCell(requested, limits or Limits())
        self._guarded = False
        self._new_session = start_new_session
        self._process: weakref.ref[HasPid] | None = None
        self._leftovers: list[TreeMember] | None = None
        self._usage: Usage | None = None
        self._spent: CpuSeconds | None = None  # by the root, when it is reaped
        self._maker = os.getpid()

    @classmethod
    def prepare(
        cls,
        containment: Requested = "auto",
        *,
        start_new_session: bool = True,
        kill_on_parent_exit: bool = False,
        spare: Iterable[str] = (),
        limits: Limits | None = None,
    ) -> Self:
        """Get ready to contain one tree; nothing runs yet.

        Args:
            containment: ``"auto"`` (default) takes the best that this machine allows;
                ``"session"`` takes a session and a marker only;
                ``"kernel"`` requires a cgroup or a job object.
            start_new_session: whether the root leads a session of its own (POSIX), or a process
                group of its own in the console (Windows); default True.
                Without one it keeps the terminal and its keys,
                orphans are known by the marker alone, and on Windows CTRL_BREAK cannot be sent.
            kill_on_parent_exit: whether the tree ends when this process does, however it ends,
                or replaces itself (``os.execv``); default False.
            spare: names of programs and ``NAME=VALUE`` that are left alone then, as for
                :func:`kill_tree`; default none. A job object spares nothing.
            limits: what the tree may use; default no limit. A limit requires a cgroup or a job
                object, whatever ``containment`` is.

        Raises:
            ContainmentError: this system or this process cannot have what was asked for.
            TypeError, ValueError: ``spare`` or ``limits`` is wrong, or ``containment`` is none of
                the three, or ``"session"`` with limits.
        """
        if containment not in get_args(Requested):
            text = f"containment is {containment!r}, expected 'auto', 'session' or 'kernel'"
            raise ValueError(text)
        texts = check_texts(spare)
        limits = limits_or_none(limits)
        if limits is not None and containment == "session":
            text = "containment is 'session', expected 'auto' or 'kernel' where there are limits"
            raise PolicyError(text)
        prepared = cls(containment, markers.new(), limits, start_new_session=start_new_session)
        prepared.spare = texts
        try:
            threads.do(lambda: prepared._make(dies_with_owner=kill_on_parent_exit))
        except BaseException:  # a signal handler's too, which may come when all is there
            threads.do(prepared.release)
            raise
        return prepared

    @property
    def kernel(self) -> bool:
        """Whether the kernel itself keeps the tree together, so that no process can leave it."""
        return self._cell.kernel is not None

    @property
    def cgroup(self) -> Path | None:
        """The folder of the tree's own cgroup; None where it has none."""
        name = self._cell.named("cgroup")
        return None if name is None else Path(name)

    @property
    def job(self) -> str | None:
        """The name of the tree's own job object; None where it has none."""
        return self._cell.named("job")

    @property
    def notes(self) -> tuple[str, ...]:
        """What this process could not have, and why."""
        return self._cell.notes

    @property
    def limits(self) -> Limits:
        """What the tree may use."""
        return self._cell.limits

    def limit(self, **changes: Unpack[LimitChanges]) -> None:
        """Change what the tree may use, also while it runs.

        Where the tree uses more memory than a new limit allows and the kernel cannot reclaim it,
        the kernel ends the tree (Linux).
        Memory that was taken before there was any limit of memory is not counted.

        Args:
            changes: ``memory``, ``processes`` and ``cpu``, as for :class:`Limits`; None lifts a
                limit, and what is not given stays.

        Raises:
            ContainmentError: this tree or this machine cannot have that; nothing is changed.
            PolicyError: a limit is unknown or wrong; nothing is changed.
        """
        self._refuse_forked()
        self._cell.limit(**changes)

    def popen_kwargs(self, env: Mapping[Any, Any] | None = None) -> dict[str, Any]:
        """Return the options for ``subprocess.Popen``, and for what hands them on to it.

        On Windows, inside :meth:`spawning`, they have the process wait for :meth:`attach`.

        Args:
            env: the environment of the process; default that of this process.

        Raises:
            TargetRefusedError: it carries a marker of ``spare``, and so would the whole tree.
        """
        given = os.environ if env is None else env
        if self.spare:
            refuse_given(given, self.spare)
        name, _, value = self.marker.partition("=")
        options: dict[str, Any] = {"env": {**given, name: value}}
        if self._new_session and HAS_SESSIONS:
            options["start_new_session"] = True
        flags = self._cell.flags() | (NEW_GROUP if self._new_session else 0)
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
        with current() as system:
            self.attach_by(system, process, pid)

    def attach_by(self, system: System, process: HasPid, pid: int) -> None:
        """Attach by a system that was opened before the process: no descriptor may be left now."""
        root = system.bind(pid)
        self.identity = ProcessIdentity(pid=pid) if root is None else identity_of(root)
        self.session = root is not None and root.sid == pid
        self._process = weakref.ref(process)
        self._leftovers = None
        self._tell_guard()
        self._cell.bring_in(system, pid, self.aim())

    @contextmanager
    def spawning(self) -> Iterator[None]:
        """Have the root start in the tree's own cgroup or job object, where it has one.

        What this thread starts inside the block, with :meth:`popen_kwargs` of the block, is in it
        from its first instruction, and so are all its descendants.
        Without the block :meth:`attach` moves the root there, with the descendants that it finds.

        Raises:
            ContainmentError: the kernel does not let this thread in, and ``"kernel"`` was asked
                for.
            OSError: what started inside cannot be moved on; it is to be ended.
        """
        self._refuse_forked()
        with ExitStack() as stack:
            try:
                stack.enter_context(self._cell.spawning())
            except ContainmentError:
                self.release()
                raise
            yield

    def release(self) -> bool:
        """Give the cgroup or the job object back, and let the guard forget the tree.

        :func:`kill_tree` does it when it has ended the tree. An empty cgroup is removed when this
        object is collected as well, and at exit.

        Returns:
            Whether it was done; it is not while a process is in the cgroup or the job object.
        """
        if not self._cell.remove():
            return False
        if self._guarded:
            guard().forget(self.marker)
        return True

    def abandon(self) -> None:
        """Let what is left of the tree be: the guard forgets it, an empty cgroup goes later.

        A job object that dies with this process still ends it then.
        """
        if not self.release():
            self._cell.abandon()
            if self._guarded:
                guard().forget(self.marker)

    def also_remove(self, *records: Path) -> None:
        """Have the guard remove these files, which hold the marker, when it has ended the tree."""
        self._refuse_forked()
        self.records = records
        self._tell_guard()

    def note_leftovers(self) -> None:
        """Note which members are left, while the dead root still has its number.

        Once it is reaped, its session proves nothing but by a member that was seen in it.
        """
        if self.is_empty:  # a kill has just seen that
            return
        with current() as system:
            if self.identity is not None and system.is_youngest(self.identity.pid):
                tree = Tree(system, self.aim())
                with suppress(OSError):  # no descriptor is free: then it does not tell
                    for root in system.bind_all([self.identity.pid]):
                        tree.add_root(root)
                self._note_root(tree)
                self._end()
                return
            tree = look(system, self.aim(), system.now() + LOOK_TIME)
            self._note_root(tree)
            if tree.sure:
                members = [model_of(member) for member in leaves_first(tree.members)]
                leftovers = [member for member in members if member.identity != self.identity]
                if leftovers or tree.proved:
                    self._leftovers = leftovers
                if self.is_empty:
                    self._end()

    def usage(self) -> Usage:
        """Return what the tree used so far, as far as known; after its end, what was known last.

        Raises:
            TargetRefusedError: this process is a fork of the one that started the tree.
        """
        if not self.is_empty:
            with current() as system:
                self._note_usage(usage.of(look(system, self.aim(), system.now() + LOOK_TIME)))
        return self._usage or Usage(user=0, system=0, processes=0)

    def _note_usage(self, used: Usage | None) -> Usage | None:
        self._usage = usage.merged(self._usage, used)
        return self._usage

    def _note_root(self, tree: Tree) -> None:
        """Note what the tree used, and what the root did, which will tell no more."""
        if not tree.aim.cells:
            self._spent = tree.system.cpu_used(tree.roots[:1])
        self._note_usage(usage.of(tree))

    @property
    def is_empty(self) -> bool:
        """Whether the root was seen dead, and no other member was left then."""
        return self._leftovers == []

    def aim(self) -> Aim:
        """Name the root, the members that were left when it died, and the marker."""
        process = None if self._process is None else self._process()
        root = self.identity
        claims = [] if root is None else [Claim(root.pid, root, owner=process, command=True)]
        cell = self._cell.kernel
        return Aim(
            [*claims, *member_claims(self._leftovers or ())],
            markers=[os.fsencode(self.marker)],
            cells=[] if cell is None else [cell],
            ended=[self._end],
            refusal=self.refusal,
            since=(root and root.start) or 0,
            spent={} if root is None or self._spent is None else {root.pid: self._spent},
            note_usage=self._note_usage,
        )

    @property
    def refusal(self) -> str | None:
        """Why this process must not touch the tree: it is a fork of the one that started it."""
        if os.getpid() == self._maker:
            return None
        return f"it belongs to process {self._maker}, of which this is a fork"

    def _refuse_forked(self) -> None:
        if (reason := self.refusal) is not None:
            raise ContainmentError(self.requested, reason)

    def _make(self, *, dies_with_owner: bool) -> None:
        self._cell.make(dies_with_owner=dies_with_owner)
        if dies_with_owner:
            cell = self._cell.kernel
            # Before the guard is sent anything: a start that is undone has it forget the tree.
            self._guarded = cell is None or not cell.dies_with_owner
            self._tell_guard()
            self.parent_exit = True

    def _tell_guard(self) -> None:
        """Send the guard what is known of the tree by now, if it guards this one."""
        if not self._guarded:
            return
        try:
            guard().watch(
                self.marker,
                cgroup=self._cell.named("cgroup"),
                identity=self.identity,
                records=self.records,
                spare=self.spare,
            )
        except BaseException:
            if self.identity is None:
                self.release()
            raise

    def _end(self, proved: bool = True) -> None:  # noqa: FBT001, FBT002 - a callback's
        """Note that all known members are dead, and whether none can have been missed."""
        if proved:
            self._leftovers = []
            self.abandon()  # the dying keep the cgroup for a moment
        else:
            self.release()

    def __repr__(self) -> str:
        root = "no process yet" if self.identity is None else f"process {self.identity}"
        return f"<Containment of {root}: {self.requested}, {self.marker}>"
