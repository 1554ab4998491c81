"""The members of a tree: which processes belong to it, why, and which are kept out."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

from .._systems.contract import System
from .._systems.member import ALIVE, ANY_KEPT, DESCENDANT, GONE, GROUP, ROOT, SESSION, Member
from .spare import candidate
from .target import Aim

_log = logging.getLogger("proctree_kill")

INIT = 1  # the process that adopts orphans


class Group(NamedTuple):
    """A process group that a member leads or led.

    Args:
        leader: that member; None where only an earlier snapshot knew it.
        parent: the process that started the leader; None where it is gone or unknown, or is init.
        inside: whether that is a member too, so that all that it started belongs to the tree.
    """

    leader: Member | None = None
    parent: Member | None = None
    inside: bool = False


class Tree:
    """The roots and all members found so far, and what the last scan may have missed."""

    def __init__(self, system: System, aim: Aim, deadline: float = math.inf) -> None:
        """Begin without members.

        Args:
            system: where the processes run.
            aim: what belongs to the tree.
            deadline: when a scan gives up, on the system's clock.
        """
        self.system = system
        self.aim = aim
        self.deadline = deadline
        self.interrupt: Callable[[BaseException], object] | None = None
        """Takes what the predicate raises to end the program; without it that is raised."""

        self.members: list[Member] = []
        self.roots: list[Member] = []
        self.excluded: list[Member] = []  # roots that are no members: only their descendants are
        self.known: dict[int, Member] = {}  # members and excluded roots, by pid
        self.rooted = False  # then an orphan that is a child of ours was adopted
        self.trusted: dict[int, int] = {}  # the session of a dead root: when it was known last
        self.sessions: set[int] = set()  # of survivors of an earlier snapshot
        self.groups: dict[int, Group] = {}  # in sessions that no member led, by number
        self.commands: set[int] = set()  # roots that no name and no marker spares
        self.ours = self.everywhere = False  # where to look for orphans

        self.caller = os.getpid()
        self.kept_out: set[int] = set()  # living processes that are never members
        self.holds_caller = False
        self.holds_bystander = False

        self.dead: set[Member] = set()  # roots that were dead when they were found
        self.together: list[Member] = []  # the most that a scan found alive

        self._judged = 0  # of the members, whether they are below a spared one
        self.scanned = False
        self.scan_end = deadline
        self.last_start: int | None = None  # of the system, when the last sure scan began
        self.sure = True
        self.examined = DESCENDANT
        self.doubted = 0
        self.hidden: set[int] = set()  # pids whose environment stayed unreadable
        self.zombies_in: set[int | None] = set()  # sessions and groups with one, in this scan
        self._zombies: set[tuple[int, int | None]] = set()

    def add_root(self, root: Member, *, evidence: int = ROOT, depth: int = 0) -> None:
        """Add a process that the caller named."""
        self.roots.append(root)
        if root.state != ALIVE:
            self.dead.add(root)
        self.add(root, evidence, depth)

    def add_excluded(self, root: Member) -> None:
        """Add a process that the caller named, and of which only the descendants are members."""
        self.roots.append(root)
        self.known[root.pid] = root
        self.excluded.append(root)
        self._note_group(root)

    def add_survivor(self, member: Member, *, evidence: int, depth: int) -> None:
        """Add a member of an earlier snapshot; its session is still the one of that time."""
        self.add_root(member, evidence=evidence, depth=depth)
        if evidence & SESSION and member.sid is not None:
            self.sessions.add(member.sid)
        if evidence & GROUP and member.pgid is not None:
            self.groups.setdefault(member.pgid, Group())

    def trust_session(self, pid: int) -> None:
        """Take the session with a dead root's pid for the root's: the caller gave its word."""
        self.trusted[pid] = self.system.start_clock()

    def look_for_orphans(self, *, everywhere: bool) -> None:
        """Look for orphans of a dead root: children of init, of this process or of its ancestors.

        That is enough if the root was a child of ours; else they may be ``everywhere``.
        """
        self.ours = True
        self.everywhere = self.everywhere or everywhere

    @property
    def verified(self) -> int:
        """The evidence, as a mask, by which the last scan cannot have missed a process."""
        if self.sure:
            return self.examined & ~self.system.unseen & ~self.doubted
        return 0 if self.system.disturbed else DESCENDANT & ~self.system.unseen

    @property
    def proved(self) -> bool:
        """Whether the last scan cannot have missed a process by any evidence."""
        return self.sure and (bool(self.aim.cells) or self.verified == self.examined)

    @cached_property
    def protected(self) -> set[int]:
        """The caller and its ancestors."""
        return {self.caller, *self.system.ancestors(self.caller)}

    def is_late(self) -> bool:
        """Whether the scan must end; it is not sure then.

        Asked between processes: among the zombies of a storm one lookup can take seconds.
        """
        if self.system.now() < self.scan_end:
            return False
        self.sure = False
        return True

    def bind(self, pid: int) -> Member | None:
        """Bind a process that lives and may be a member."""
        found = self.bind_all([pid])
        return found[0] if found else None

    def bind_all(self, pids: Iterable[int]) -> list[Member]:
        """Bind the processes that live and may be members."""
        eligible = []
        for pid in pids:
            if pid in self.protected:
                self.holds_caller = True
            elif pid not in self.kept_out:
                eligible.append(pid)
        bound = self.system.bind_all(eligible)
        if len(bound) < len(eligible):
            self.sure = False  # one died just now, and may have left children
        return [member for member in bound if self._lives(member) and self.accepts(member)]

    def _lives(self, member: Member) -> bool:
        """Whether a bound process lives; a zombie is noted and dropped."""
        if member.state == ALIVE:
            return True
        zombie = (member.pid, member.start)
        if zombie not in self._zombies:  # a new one may have left children as well
            self.sure = False
            self._zombies.add(zombie)
        self.zombies_in.update((member.sid, member.pgid))
        self.system.drop(member)
        return False

    def accepts(self, member: Member) -> bool:
        """Whether a bound process may be a member; another user's process is dropped."""
        if self.aim.uid is None:
            return True
        uids = self.system.uids(member)
        if uids and uids[0] == self.aim.uid:
            return True
        self.sure = self.sure and bool(uids)  # without uids it died, and may have left children
        self.system.drop(member)
        return False

    def split_by_user(self, members: list[Member]) -> tuple[list[Member], list[Member]]:
        """Return the members that may be signalled, and those that are another user's by now.

        A setuid program is its caller's until it changes its real uid, as su(1) does.
        """
        if self.aim.uid is None:
            return members, []
        foreign = [m for m in members if [*self.system.uids(m)][:1] != [self.aim.uid]]
        return [member for member in members if member not in foreign], foreign

    def is_member(self, pid: int) -> bool:
        """Whether a pid is still that of a member."""
        member = self.known.get(pid)
        return member is not None and (member.state == ALIVE or self.system.owns_number(member))

    def is_new(self, child: Member) -> bool:
        """Whether a child is not known; two parents may list the same one, which is dropped."""
        known = self.known.get(child.pid)
        if known is None or known.state == GONE or known.start != child.start:
            return True
        self.system.drop(child)
        return False

    def leads(self, sid: int | None) -> bool:
        """Whether a session has the number of a member that is not spared."""
        if sid is None:
            return False
        if sid in self.trusted or sid in self.sessions:
            return True
        leader = self.known.get(sid)
        return leader is not None and leader.spared is None

    def add_below(self, parent: Member, child: Member, evidence: int = 0) -> None:
        """Add a child of a member; other evidence for it may be known."""
        evidence |= DESCENDANT | (SESSION if self.leads(child.sid) else 0)
        self.add(child, evidence, parent.depth + 1, parent)

    def add_found(self, member: Member, evidence: int, leader: Member | None = None) -> None:
        """Add what was found by itself: below its parent if that lives and is known."""
        parent = self.known.get(member.ppid or 0)
        if parent is not None and parent.state == ALIVE:
            self.add_below(parent, member, evidence)
        else:
            self.add(member, evidence, leader.depth + 1 if leader else 1, leader)

    def add(self, member: Member, evidence: int, depth: int, parent: Member | None = None) -> None:
        """Add a member; whether it is spared is asked here, and a predicate asked once."""
        member.evidence, member.depth = evidence, depth
        orphaned = self.rooted and not evidence & (ROOT | DESCENDANT)
        member.adopted = orphaned or self.aim.ownerless
        if parent is not None and parent.spared:
            member.spared = f"below {parent.pid}"
        else:
            member.spared = self._why_spared(member)
        self.known[member.pid] = member
        self.members.append(member)
        self._note_group(member, parent)
        shown = self.leads(member.sid) or member.pgid in self.groups or self.aim.markers
        member.exposed = not (shown or member.evidence & ANY_KEPT)

    def _note_group(self, leader: Member, parent: Member | None = None) -> None:
        """Note the group of a member that leads one which is not its session."""
        if leader.pgid != leader.pid or leader.sid == leader.pid:
            return
        if leader.spared is not None or self.leads(leader.sid):
            return
        inside = parent is not None and parent.pid == leader.ppid and parent.spared is None
        if not inside:
            parent = self._bind_parent(leader)
        self.groups[leader.pid] = Group(leader, parent, inside)

    def _bind_parent(self, leader: Member) -> Member | None:
        if leader.ppid is None or leader.ppid <= INIT:
            return None
        parent = self.system.bind(leader.ppid)
        if parent is None:
            return None
        # Still the parent once it is bound: it is not a later owner of that number.
        if parent.pid == next(iter(self.system.ancestors(leader.pid)), None):
            return parent
        self.system.drop(parent)
        return None

    def spare_again(self, members: Iterable[Member]) -> list[Member]:
        """Spare those that have become a spared program, and return them and what is below them.

        execve(2) changes the name and the environment of a process.
        """
        if self.aim.spared is None:
            return []
        members = [*members]
        for member in members if self.aim.spared.may_change else ():
            if member.spared is None and (reason := self._why_program(member)):
                member.spared = reason
                self.groups.pop(member.pid, None)
        found = [member for member in members if member.spared is not None]
        if found or len(self.members) > self._judged:
            found += self.spare_below()
        return found

    def spare_below(self) -> list[Member]:
        """Spare what is below spared members, and return it; a child may be found first.

        A target that is named by itself is meant.
        """
        if self.aim.spared is None:
            return []
        self._judged = len(self.members)
        line = [member for member in self.members if member.spared is not None]
        others = [m for m in self.members if m.spared is None and not m.evidence & ROOT]
        below: dict[int | None, list[Member]] = {}
        for member in others if line else ():
            below.setdefault(member.ppid, []).append(member)
        for parent in line:  # which grows
            for child in below.get(parent.pid, ()):
                is_older = child.start and parent.start and child.start < parent.start
                if child.spared is None and not is_older:
                    child.spared = f"below {parent.pid}"
                    self.groups.pop(child.pid, None)
                    line.append(child)
        return [member for member in others if member.spared is not None]

    def _why_program(self, member: Member) -> str | None:
        if self.aim.spared is None or (member.evidence & ROOT and member.pid in self.commands):
            return None
        return self.aim.spared.why_program(member, self.system)

    def _why_spared(self, member: Member) -> str | None:
        spared = self.aim.spared
        if spared is None:
            return None
        if spared.names_process(member):
            return "by the caller"
        if spared.predicate is None:
            return self._why_program(member)
        try:
            return "by the predicate" if spared.predicate(candidate(member)) else None
        except Exception as error:
            if not self.scanned:  # nothing was touched yet
                error.add_note(f"the spare predicate {spared.predicate!r} raised it")
                raise
            _log.exception("the spare predicate raised for process %s, which is spared", member.pid)
        except BaseException as error:
            if self.interrupt is None:
                raise
            self.interrupt(error)
        return "the predicate raised"
