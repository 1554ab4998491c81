"""A scan: one search for new members of a tree, by all evidence."""

from __future__ import annotations

from collections.abc import Iterable

from .._systems.contract import Cell
from .._systems.member import ALIVE, GROUP, KEPT, MARKER, SESSION, ZOMBIE, Member
from . import groups, orphans
from .tree import Tree

PASSES = 3  # at most, of a scan during which processes vanish; after a freeze none does
SCAN_TIME = 0.5  # seconds for each scan, also after the deadline: enough for all but a fork storm


def scan(tree: Tree, *, light: bool = False) -> list[Member]:
    """Add the members that are not known yet, and return them.

    A light scan is skipped if no process was started since the last sure scan began.
    """
    system = tree.system
    last_start = system.last_start()
    if light and last_start is not None and last_start == tree.last_start:
        return []
    before = len(tree.members)
    tree.scan_end = max(tree.deadline, system.now() + SCAN_TIME)
    for _ in range(PASSES):
        tree.last_start, tree.sure, tree.doubted = None, True, 0
        tree.zombies_in.clear()
        system.begin_scan()
        # What is in a cell is listed at once: then few are left to be found below their parents.
        populated = [_scan_cell(tree, cell) for cell in tree.aim.cells]
        _descend(tree, [*tree.excluded, *tree.members])
        # An orphan is in its cell, too. One that has left it (su, systemd-run) is found by the
        # first scan, and by the last, when the cells are empty.
        if _may_have_orphans(tree) and not (tree.scanned and any(populated)):
            _find_orphans(tree)
        tree.sure = tree.sure and not system.disturbed and not _group_outlives_members(tree)
        if tree.sure:
            tree.last_start = last_start
        if tree.sure or tree.is_late():
            break
        last_start = system.last_start()
    if len(tree.members) > before or not tree.scanned:
        living = [member for member in tree.members if member.state == ALIVE]
        tree.together = max(tree.together, living, key=len)
    tree.scanned = True
    return tree.members[before:]


def _descend(tree: Tree, parents: list[Member]) -> None:
    """Add the descendants of these, a generation at a time."""
    system = tree.system
    while parents := [p for p in parents if p.state == ALIVE or system.keeps_links]:
        if tree.is_late():  # a storm may grow faster than this loop
            return
        children = []
        for parent, child in system.children(parents, tree.known):
            if child.pid == tree.caller:
                tree.holds_caller = True
                system.drop(child)
            elif child.pid in tree.kept_out:
                system.drop(child)
            elif tree.is_new(child) and tree.accepts(child):
                tree.add_below(parent, child)
                children.append(child)
        parents = children


def _scan_cell(tree: Tree, cell: Cell) -> bool:
    """Add the processes in a cell; return whether it holds any."""
    evidence = KEPT[cell.kind]
    tree.examined |= evidence
    listed = _list(tree, cell)
    populated = bool(listed)
    while pids := _add_evidence(tree, listed, evidence):
        bound = tree.bind_all(pids)
        listed = _list(tree, cell)
        again = set(listed)
        found = {}
        for member in bound:
            # Listed again once it is bound, and alive: it is the process that was listed.
            if member.pid in again and tree.system.owns_number(member):
                found[member.pid] = member
            else:
                tree.system.drop(member)
        _add_kept(tree, found, evidence)
        if not bound or tree.system.now() >= tree.scan_end:
            break
    return populated and tree.aim.uid is None  # with a uid the rest may be another user's


def _add_kept(tree: Tree, found: dict[int, Member], evidence: int) -> None:
    """Add what a cell holds, each after its parent."""
    while found:
        _, member = found.popitem()
        line = [member]
        while (parent := found.pop(member.ppid or 0, None)) is not None:
            line.append(member := parent)
        for member in reversed(line):
            tree.add_found(member, evidence)


def _list(tree: Tree, cell: Cell) -> list[int]:
    """List the processes in a cell, without the caller and others that were moved there."""
    listed = cell.pids()
    bystanders = (tree.protected | tree.kept_out).intersection(listed)
    if not bystanders:
        return listed
    tree.holds_bystander = True  # so the cell is not killed as a whole
    return [pid for pid in listed if pid not in bystanders]


def _add_evidence(tree: Tree, pids: Iterable[int], evidence: int) -> list[int]:
    """Note evidence for those that are members, and return the others."""
    others = []
    for pid in pids:
        member = tree.known.get(pid)
        if member is None or member.state != ALIVE:
            others.append(pid)
        elif member.evidence:  # an excluded root has none
            member.evidence |= evidence
    return others


def _may_have_orphans(tree: Tree) -> bool:
    """Whether an orphan could be recognised, by a marker or by what a member leads."""
    return bool(tree.groups) or _may_have_sessions(tree)


def _may_have_sessions(tree: Tree) -> bool:
    leaders = (member.sid == member.pid for member in (*tree.excluded, *tree.members))
    return bool(tree.aim.markers or tree.trusted or tree.sessions or any(leaders))


def _find_orphans(tree: Tree) -> None:
    """Add the orphans and their descendants."""
    pids = orphans.candidates(tree)
    if tree.aim.markers:
        tree.examined |= MARKER
        _descend(tree, list(orphans.by_marker(tree, pids)))
    if tree.system.session(tree.caller) is None:  # a system without sessions
        return
    while found := _find_inherited(tree, pids):
        _descend(tree, found)


def _find_inherited(tree: Tree, pids: list[int]) -> list[Member]:
    """Add the orphans in a session or a group of a member."""
    found: list[Member] = []
    if _may_have_sessions(tree):
        tree.examined |= SESSION
        found += orphans.by_session(tree, pids)
    if tree.groups:
        tree.examined |= GROUP
        found += groups.orphans(tree, pids)
    return found


def _group_outlives_members(tree: Tree) -> bool:
    """Whether all known members are dead while a group led by one of them still has members.

    Zombies stay in their group: in many containers no process ever reaps them.
    """
    system, members = tree.system, tree.members
    if any(member.state == ALIVE and member.spared is None for member in members):
        return False
    leaders = [member for member in members if member.sid == member.pid and member.spared is None]
    if not tree.doubted & GROUP:  # else a process that is no member is in one
        leaders += [group.leader for group in tree.groups.values() if group.leader is not None]
    return any(
        system.group_remains(leader)
        and leader.pid not in tree.zombies_in
        and not any(
            leader.pid in (member.sid, member.pgid)
            and member.state == ZOMBIE
            and system.owns_number(member)
            for member in members
        )
        for leader in leaders
    )
