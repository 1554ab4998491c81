"""Orphans: members whose parent is dead, found by a marker or by their session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from .._systems.member import ALIVE, MARKER, SESSION, Member
from . import markers as engine_markers
from .markers import HIDDEN_PAUSE, HIDDEN_TIME
from .tree import Tree


def candidates(tree: Tree) -> list[int]:
    """Return the pids of processes that may be orphans of the tree."""
    adopted = tree.system.candidates(
        tree.roots,
        ours=tree.ours,
        children=not engine_markers.are_ours(tree.aim.markers),
        everywhere=tree.everywhere,
    )
    others = engine_markers.children_without(tree.aim.markers)
    pids = dict.fromkeys([*adopted, *engine_markers.children_with(tree.aim.markers)])
    return [pid for pid in pids if pid not in others and not tree.is_member(pid)]


def by_marker(tree: Tree, pids: Iterable[int]) -> Iterator[Member]:
    """Add the candidates that carry a marker; read those again that hide whether they do."""
    until = tree.system.now() + HIDDEN_TIME
    hidden: list[int] = []
    yield from _carriers(tree, pids, hidden)
    while not tree.hidden.issuperset(hidden) and tree.system.now() < until:
        tree.system.wait([], tree.system.now() + HIDDEN_PAUSE)
        pids, hidden = hidden, []
        yield from _carriers(tree, pids, hidden)
    tree.hidden.update(hidden)
    tree.doubted |= MARKER if hidden else 0


def _carriers(tree: Tree, pids: Iterable[int], hidden: list[int]) -> Iterator[Member]:
    """Add the candidates that carry a marker; append to ``hidden`` those that may."""
    carries = partial(tree.system.carries, markers=tree.aim.markers, since=tree.aim.since)
    for pid in pids:
        if tree.is_late():
            return
        found = carries(pid)
        if found and (member := tree.bind(pid)) is not None:
            # The first read may have been of an earlier process with this pid.
            found = carries(pid)
            if found and tree.system.owns_number(member):
                in_session = tree.leads(member.sid) and _is_same_session(tree, member)
                tree.add_found(member, MARKER | (SESSION if in_session else 0))
                yield member
            else:
                tree.system.drop(member)
        if found is None and _may_carry(tree, pid):
            hidden.append(pid)


def _may_carry(tree: Tree, pid: int) -> bool:
    """Whether a process with a hidden environment is younger than the markers."""
    if tree.aim.cells or pid in tree.protected:  # with cells the marker is not needed
        return False
    member = tree.system.bind(pid)
    if member is None:
        return False
    tree.system.drop(member)
    return member.state == ALIVE and (member.start is None or member.start >= tree.aim.since)


def by_session(tree: Tree, pids: Iterable[int]) -> Iterator[Member]:
    """Add the candidates in a session that a member led: a session is only ever inherited."""
    for pid in pids:
        if tree.is_late():
            return
        sid = tree.system.session(pid)
        if sid is None:
            tree.sure = False  # it died just now or is hidden, and may have left children
        elif tree.leads(sid) and not tree.is_member(pid) and (member := tree.bind(pid)):
            if member.sid == sid and _is_same_session(tree, member):
                tree.add_found(member, SESSION, tree.known.get(sid))
                yield member
            else:
                tree.system.drop(member)


def _is_same_session(tree: Tree, member: Member) -> bool:
    """Whether the number of a member's session still means the one that a member led."""
    sid = member.sid
    if sid is None or sid == member.pid:  # it leads a new session with a dead member's number
        return False
    trusted = tree.trusted.get(sid)
    if trusted is not None and (member.start is None or member.start <= trusted):
        return True
    leader = tree.known.get(sid)
    if leader is not None and tree.system.holds_session(leader):
        return True
    # A process of the session keeps its number taken.
    return any(known.sid == sid and tree.system.owns_number(known) for known in tree.members)
