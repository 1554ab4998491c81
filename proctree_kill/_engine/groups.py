"""Process groups: members whose parent is dead, found in a group that a member led."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from .._systems.member import ALIVE, GROUP, Member
from .tree import INIT, Group, Tree


def orphans(tree: Tree, pids: Iterable[int]) -> Iterator[Member]:
    """Add the candidates in a group that a member led, if they are orphans of the tree.

    The leader's parent may have put more of its children there: ``b`` of ``a | b``. While it
    lives, they are told from orphans by their parent. If it is a member, they are members too.
    """
    for pid in pids:
        if tree.is_late():
            return
        number = tree.system.group(pid)
        if number is None:
            tree.sure = False  # it died just now or is hidden, and may have left children
        elif (group := tree.groups.get(number)) is not None and not tree.is_member(pid):
            member = _bind_orphan(tree, pid, number, group)
            if member is not None:
                tree.add_found(member, GROUP, group.leader)
                yield member


def _bind_orphan(tree: Tree, pid: int, number: int, group: Group) -> Member | None:
    """Bind a process of a group if it is an orphan of the tree; note where that is in doubt."""
    adopters = _adopters(tree, group)
    parents = [*islice(tree.system.ancestors(pid), 1)]
    if not group.inside and not adopters.issuperset(parents):
        # Nothing shows whether a process is a subreaper, so a child of the leader's parent may be
        # an orphan. A child of a process elsewhere is none.
        if not adopters or (group.parent is not None and group.parent.pid in parents):
            _doubt(tree, pid)
        return None
    member = tree.bind(pid)
    if member is None:
        return None
    same = member.pgid == number and _is_same(tree, number, group)
    # The leader's parent comes last: it lived when the parent of this process was read.
    if same and (group.inside or member.ppid in _adopters(tree, group)):
        return member
    tree.system.drop(member)
    tree.doubted |= GROUP
    return None


def _adopters(tree: Tree, group: Group) -> set[int]:
    """Return what may have adopted orphans; nothing if the leader's parent may be among them."""
    if group.parent is None:
        return set()
    found = {INIT, *tree.system.ancestors(group.parent.pid)}
    return found if tree.system.lives(group.parent) else set()


def _is_same(tree: Tree, number: int, group: Group) -> bool:
    """Whether the number of a group still means the one that a member led."""
    if group.leader is not None and tree.system.holds_session(group.leader):
        return True
    # A process of the group keeps its number taken.
    return any(known.pgid == number and tree.system.owns_number(known) for known in tree.members)


def _doubt(tree: Tree, pid: int) -> None:
    """Note that a living process of a group may be an orphan, or may not."""
    member = tree.system.bind(pid)
    if member is None:
        return
    tree.system.drop(member)
    if member.state == ALIVE:
        tree.doubted |= GROUP
    else:
        tree.zombies_in.add(member.pgid)
