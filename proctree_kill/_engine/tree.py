"""Evidence becomes a tree: who belongs to it, why, and in which order it was found."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence

from .._systems.contract import Cell, System
from .._systems.member import ALIVE, DESCENDANT, GONE, KEPT, MARKER, ROOT, SESSION, ZOMBIE, Member
from . import markers as engine_markers
from .target import Sparing

_log = logging.getLogger("proctree_kill")

PASSES = 3
"""How often a scan starts over because processes vanished meanwhile; freezing ends that."""
SCAN_TIME = 0.5
"""Seconds that every scan has, also when the time is over: a tree is found, a storm is given up."""
HIDDEN_TIME, HIDDEN_PAUSE = 0.25, 0.005
"""Seconds for which a scan looks again at environments that are hidden, and between two looks.

A process shows none while it calls exec, and none that may be read in most uninterruptible sleeps.
"""


class Tree:
    """The union of all evidence about some roots, growing from scan to scan."""

    def __init__(
        self,
        system: System,
        spared: Sparing | None = None,
        markers: Sequence[bytes] = (),
        deadline: float = math.inf,
        cells: Sequence[Cell] = (),
        *,
        uid: int | None = None,
        since: int = 0,
    ) -> None:
        """Begin with nobody.

        Args:
            system: who tells the facts.
            spared: says why a member is spared; None spares nobody.
            markers: ``NAME=VALUE``, one of which members carry in their environment.
            deadline: when a scan gives up, on the system's clock; each has ``SCAN_TIME`` at least.
            cells: what the kernel keeps members together in.
            uid: the real uid of every member; None: any.
            since: the start, as :attr:`Member.start`, before which no process carries a marker.
        """
        self.system = system
        self.spared = spared
        self.markers = markers
        self.cells = cells
        self.uid = uid
        self._since = since
        self._hidden: set[int] = set()
        self.members: list[Member] = []
        self.roots: list[Member] = []
        self.holds_caller = False
        self.rooted = False
        self._deadline = deadline
        self.sure = True
        self._doubted = 0
        self._examined = DESCENDANT
        self._keeps_links = system.keeps_links
        self._known: dict[int, Member] = {}
        self._trusted: dict[int, int] = {}
        self._sessions: set[int] = set()
        self._caller = os.getpid()
        self._protected: set[int] = set()
        self._kept_out: set[int] = set()
        self.holds_bystander = False
        self._outside: list[Member] = []
        self._ghosts: set[tuple[int, int | None]] = set()
        self._unreaped: set[int | None] = set()  # sessions in which this scan saw a zombie
        self._everywhere = self._ours = False
        self._begun = False
        self._births: int | None = None
        self._late = deadline

    def add_root(self, root: Member, *, evidence: int = ROOT, depth: int = 0) -> None:
        """Take in a process that the caller named."""
        self.roots.append(root)
        self._admit(root, evidence, depth)

    def add_parent(self, root: Member) -> None:
        """Take in a process that the caller named and whose descendants alone are meant."""
        self.roots.append(root)
        self._known[root.pid] = root
        self._outside.append(root)

    def add_survivor(self, one: Member, *, evidence: int, depth: int) -> None:
        """Take in a member of an earlier look; its session is still what it was then."""
        self.add_root(one, evidence=evidence, depth=depth)
        if evidence & SESSION and one.sid is not None:
            self._sessions.add(one.sid)

    def trust_session(self, number: int) -> None:
        """Take the session of a dead root's number for the root's: the caller gave his word."""
        self._trusted[number] = self.system.moment()

    def keep_out(self, numbers: Iterable[int]) -> None:
        """Make no member of these, which live, whatever lists them."""
        self._kept_out.update(numbers)

    def keeps_out(self, pid: int) -> bool:
        """Tell whether a number is one of those."""
        return pid in self._kept_out

    def look_for_orphans(self, *, everywhere: bool) -> None:
        """Look for orphans of whom no root that lives tells where they hang.

        Those of a child of ours hang below us, below an ancestor of ours, or below init;
        those of anybody are ``everywhere``.
        """
        self._ours = True
        self._everywhere = self._everywhere or everywhere

    def scan(self, *, light: bool = False) -> list[Member]:
        """Look for members that are not known yet; return them.

        A light scan takes nobody for new where nobody was born since the last complete one began.
        """
        births = self.system.births()
        if light and births is not None and births == self._births:
            return []
        before = len(self.members)
        self._late = max(self._deadline, self.system.now() + SCAN_TIME)
        for _ in range(PASSES):
            self._births, self.sure, self._doubted = None, True, 0
            self._unreaped.clear()
            self.system.begin_scan()
            self._descend([*self._outside, *self.members])
            kept = [self._find_kept(cell) for cell in self.cells]
            if self._wants_strays() and not (self._begun and any(kept)):
                self._find_strays()
            self.sure = self.sure and not self.system.disturbed and not self._is_haunted()
            if self.sure:
                self._births = births
            if self.sure or self._is_late():
                break
            births = self.system.births()
        self._begun = True
        return self.members[before:]

    def _is_haunted(self) -> bool:
        """Tell whether nobody is known to live, and a group that one of us led is not empty yet.

        The dead whom nobody has reaped are in it as well, and in many a container nobody ever does.
        """
        if any(one.state == ALIVE and one.spared is None for one in self.members):
            return False
        leaders = [one for one in self.members if one.sid == one.pid and one.spared is None]
        haunted = [one for one in leaders if self.system.group_remains(one)]
        return any(one.pid not in self._unreaped and not self._is_buried(one) for one in haunted)

    def _is_buried(self, leader: Member) -> bool:
        """Tell whether somebody dead is known who is still in the session of a leader."""
        return any(
            one.sid == leader.pid and one.state == ZOMBIE and self.system.owns_number(one)
            for one in self.members
        )

    @property
    def verified(self) -> int:
        """The evidence by which the last scan looked, where it can have missed no process."""
        return (self._examined if self.sure else DESCENDANT) & ~self.system.unseen & ~self._doubted

    @property
    def proved(self) -> bool:
        """Whether the last scan can have missed no process, by any evidence."""
        return self.sure and (bool(self.cells) or self.verified == self._examined)

    def _wants_strays(self) -> bool:
        """Tell whether an orphan could be known: by a marker, or by a session that one leads."""
        leaders = (one.sid == one.pid for one in (*self._outside, *self.members))
        return bool(self.markers or self._trusted or self._sessions or any(leaders))

    def _descend(self, parents: Iterable[Member]) -> None:
        """Walk down, a generation at a time; a storm may grow faster than we walk."""
        while generation := [one for one in parents if one.state == ALIVE or self._keeps_links]:
            if self._is_late():
                return
            parents = []
            for parent, child in self.system.children(generation, self._known):
                if child.pid == self._caller:
                    self.holds_caller = True
                    self.system.drop(child)
                elif child.pid in self._kept_out:
                    self.system.drop(child)
                elif self._is_new(child) and self.accepts(child):
                    evidence = DESCENDANT | (SESSION if self._leads(child.sid) else 0)
                    self._admit(child, evidence, parent.depth + 1, parent)
                    parents.append(child)

    def _find_strays(self) -> None:
        """Look for orphans by session and marker, and walk down from each."""
        self._protected = self._protected or {self._caller, *self.system.ancestors(self._caller)}
        strays = self.system.strays(
            self.roots,
            ours=self._ours,
            children=not engine_markers.are_ours(self.markers),
            everywhere=self._everywhere,
        )
        others = engine_markers.children_without(self.markers)
        strays = dict.fromkeys([*strays, *engine_markers.children_with(self.markers)])
        numbers = [pid for pid in strays if pid not in others and not self._is_member(pid)]
        if self.markers:
            self._examined |= MARKER
            self._descend(list(self._by_marker(numbers)))
        if self.system.session(self._caller) is None:  # a system without sessions
            return
        self._examined |= SESSION
        while found := list(self._by_session(numbers)):
            self._descend(found)

    def _find_kept(self, cell: Cell) -> bool:
        """Take in whom the kernel keeps in a cell, walk down from each, and tell if there are any.

        While there are, nobody else is looked for but by the first scan: an orphan is in there,
        too, and one that has left it (``su``, ``systemd-run``) is found by the last scan.
        Who is listed again once it is bound, and lives, is the one that was listed.
        """
        evidence = KEPT[cell.kind]
        self._examined |= evidence
        self._protected = self._protected or {self._caller, *self.system.ancestors(self._caller)}
        listed = self._list(cell)
        populated = bool(listed)
        while numbers := self._mark(listed, evidence):
            bound = [one for pid in numbers if (one := self._bind(pid)) is not None]
            listed = self._list(cell)
            again = set(listed)
            for one in bound:
                if one.pid in again and self.system.owns_number(one):
                    self._admit(one, evidence, 1)
                else:
                    self.system.drop(one)
            self._descend([one for one in bound if one.evidence])
            if not bound or self.system.now() >= self._late:
                break
        return populated and self.uid is None  # what is in there may be another user's

    def _list(self, cell: Cell) -> list[int]:
        """List what the kernel keeps in a cell, without the caller and what is to be kept out.

        Somebody moved them there; the others are killed one by one then.
        """
        listed = cell.pids()
        bystanders = (self._protected | self._kept_out).intersection(listed)
        self.holds_bystander = self.holds_bystander or bool(bystanders)
        return [pid for pid in listed if pid not in bystanders] if bystanders else listed

    def _mark(self, numbers: Iterable[int], evidence: int) -> list[int]:
        """Note the evidence at those who are members, and return the others."""
        others = []
        for pid in numbers:
            one = self._known.get(pid)
            if one is None or one.state != ALIVE:
                others.append(pid)
            elif one.evidence:
                one.evidence |= evidence
        return others

    def _by_marker(self, numbers: Iterable[int]) -> Iterator[Member]:
        """Admit those that carry a marker; look again at those that hide whether they do."""
        until = self.system.now() + HIDDEN_TIME
        hidden: list[int] = []
        yield from self._carriers(numbers, hidden)
        while not self._hidden.issuperset(hidden) and self.system.now() < until:
            self.system.wait([], self.system.now() + HIDDEN_PAUSE)
            numbers, hidden = hidden, []
            yield from self._carriers(numbers, hidden)
        self._hidden.update(hidden)
        self._doubted |= MARKER if hidden else 0

    def _carriers(self, numbers: Iterable[int], hidden: list[int]) -> Iterator[Member]:
        """Admit those that carry a marker, and note those that may."""
        carries = self.system.carries
        for pid in numbers:
            if self._is_late():
                return
            found = carries(pid, self.markers)
            if found and (one := self._bind(pid)) is not None:
                # the second look is at the process that is bound now
                found = carries(pid, self.markers)
                if found and self.system.owns_number(one):
                    in_session = self._leads(one.sid) and self._session_is_ours(one)
                    self._admit(one, MARKER | (SESSION if in_session else 0), 1)
                    yield one
                else:
                    self.system.drop(one)
            if found is None and self._may_carry(pid):
                hidden.append(pid)

    def _may_carry(self, pid: int) -> bool:
        """Whether a process that hides its environment is younger than the markers.

        Where the kernel keeps the tree it need not be known.
        """
        if self.cells or pid in self._protected or (one := self.system.bind(pid)) is None:
            return False
        self.system.drop(one)
        return one.state == ALIVE and (one.start is None or one.start >= self._since)

    def _by_session(self, numbers: Iterable[int]) -> Iterator[Member]:
        """Admit those whose session is led by a member: only a leader hands its session down."""
        for pid in numbers:
            if self._is_late():
                return
            sid = self.system.session(pid)
            if sid is None:  # it vanished, or is hidden, and may have left somebody
                self.sure = False
            elif self._leads(sid) and not self._is_member(pid):
                if (one := self._bind(pid)) is None:
                    continue
                if one.sid == sid and self._session_is_ours(one):
                    leader = self._known.get(one.sid or 0)
                    self._admit(one, SESSION, leader.depth + 1 if leader else 1, leader)
                    yield one
                else:
                    self.system.drop(one)

    def _is_late(self) -> bool:
        """Tell whether the time is over: among the zombies of a storm one look can take seconds."""
        if self.system.now() < self._late:
            return False
        self.sure = False
        return True

    def _leads(self, sid: int | None) -> bool:
        """Tell whether a session bears the number of a member that is not spared."""
        if sid is None:
            return False
        if sid in self._trusted or sid in self._sessions:
            return True
        leader = self._known.get(sid)
        return leader is not None and leader.spared is None

    def _session_is_ours(self, one: Member) -> bool:
        """Tell whether a session's number still means the session of the member that led it."""
        sid = one.sid or 0
        if one.pid == sid:  # the leader itself: of a dead member's number, so a stranger
            return False
        trusted = self._trusted.get(sid)
        if trusted is not None and (one.start is None or one.start <= trusted):
            return True
        leader = self._known.get(sid)
        if leader is not None and self.system.holds_session(leader):
            return True
        return any(other.sid == sid and self.system.owns_number(other) for other in self.members)

    def _bind(self, pid: int) -> Member | None:
        """Bind a candidate that lives and is not the caller's own line."""
        if pid in self._protected:
            self.holds_caller = True
            return None
        if pid in self._kept_out:
            return None
        one = self.system.bind(pid)
        if one is not None and one.state == ALIVE:
            return one if self.accepts(one) else None
        ghost = (pid, None if one is None else one.start)
        if one is None or ghost not in self._ghosts:  # it died just now, and may have left somebody
            self.sure = False
            self._ghosts.add(ghost)
        if one is not None:
            self._unreaped.add(one.sid)
            self.system.drop(one)
        return None

    def accepts(self, one: Member) -> bool:
        """Whether a bound process may be a member; one of another user is dropped."""
        users = () if self.uid is None else self.system.users(one)
        if self.uid is None or (users and users[0] == self.uid):
            return True
        self.sure = self.sure and bool(users)  # it died just now, and may have left children
        self.system.drop(one)
        return False

    def split_by_user(self, members: list[Member]) -> tuple[list[Member], list[Member]]:
        """Part members that may be signalled from those that are another user's by now.

        A setuid program is its caller's until it changes its real uid, as su(1) does.
        """
        if self.uid is None:
            return members, []
        foreign = [one for one in members if tuple(self.system.users(one))[:1] != (self.uid,)]
        return [one for one in members if one not in foreign], foreign

    def _is_member(self, pid: int) -> bool:
        """Tell whether a number is a member's own."""
        one = self._known.get(pid)
        return one is not None and (one.state == ALIVE or self.system.owns_number(one))

    def _is_new(self, child: Member) -> bool:
        """Tell whether a child is not a member yet; a number may be listed by two parents."""
        one = self._known.get(child.pid)
        if one is None or one.state == GONE or one.start != child.start:
            return True
        self.system.drop(child)
        return False

    def _admit(self, one: Member, evidence: int, depth: int, parent: Member | None = None) -> None:
        """Make a process a member and ask, once, whether it is spared."""
        one.evidence, one.depth = evidence, depth
        one.adopted = self.rooted and not evidence & (ROOT | DESCENDANT)
        one.spared = f"below {parent.pid}" if parent and parent.spared else self._ask_spared(one)
        self._known[one.pid] = one
        self.members.append(one)

    def _ask_spared(self, one: Member) -> str | None:
        """Ask the caller; once something was touched, a predicate that raises spares."""
        if self.spared is None:
            return None
        try:
            return self.spared(one)
        except Exception:
            if not self._begun:
                raise
            _log.exception("the spare predicate raised for process %s, which is spared", one.pid)
            return "the predicate raised"
