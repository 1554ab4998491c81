"""From what the caller names to a tree that is bound, checked and not refused."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import NamedTuple

from .._models.errors import TargetRefusedError
from .._models.identity import ProcessIdentity
from .._models.result import GONE
from .._systems.contract import System
from .._systems.member import ALIVE, ROOT, Member, identity_of, is_same, mask
from . import markers as engine_markers
from .owners import has_ended, is_our_child
from .scan import scan
from .spare import refuse_carried
from .target import Aim, Claim
from .tree import Tree


class Missing(NamedTuple):
    """A claim whose process is gone."""

    claim: Claim
    detail: str


class Gathered(NamedTuple):
    """The tree of a target after the first scan, and which of its claims were gone."""

    tree: Tree
    missing: list[Missing]
    target: list[ProcessIdentity]


def gather(
    system: System, aimed: Aim, *, include_root: bool, deadline: float = math.inf
) -> Gathered:
    """Bind what was claimed, scan once, and refuse what must not be ended.

    Raises:
        TargetRefusedError: before anything was touched.
    """
    claims, markers = aimed.claims, aimed.markers
    if aimed.refusal is not None:
        raise TargetRefusedError(claims[0].pid if claims else os.getpid(), aimed.refusal)
    _refuse_named_caller(system, aimed, include_root=include_root)
    tree = Tree(system, aimed, deadline)
    tree.rooted = _is_rooted(claims, markers)
    gathered = Gathered(tree, [], [])
    for identity in aimed.bystanders:
        _keep_out(tree, identity)
    if aimed.everywhere or not claims:
        tree.look_for_orphans(everywhere=aimed.everywhere)
    for claim in claims:
        _add(gathered, claim, _depth(system, claim, claims), include_root=include_root)
    scan(tree)
    tree.spare_below()
    return gathered


def refuse_caller(gathered: Gathered) -> None:
    """Refuse a tree that was found to hold the caller.

    Raises:
        TargetRefusedError: it does.
    """
    if gathered.tree.holds_caller:
        pid = gathered.target[0].pid if gathered.target else os.getpid()
        raise TargetRefusedError(pid, f"its tree holds the caller ({os.getpid()})")


def _refuse_named_caller(system: System, aimed: Aim, *, include_root: bool) -> None:
    caller = os.getpid()
    if include_root and any(claim.pid == caller for claim in aimed.claims):
        reason = "it is the caller itself; include_root=False means its children"
        raise TargetRefusedError(caller, reason)
    refuse_carried(system, aimed.markers)
    refuse_carried(system, aimed.unshared, "what it starts would be spared")


def _is_rooted(claims: Sequence[Claim], markers: Sequence[bytes]) -> bool:
    """Whether all markers are of trees that a TreePopen of this process started.

    Then what else carries one, or is in the cgroup, was not started by the caller itself.
    """
    roots = [claim for claim in claims if claim.identity is not None and claim.found is None]
    return bool(markers) and engine_markers.are_ours(markers) and len(roots) == len(markers)


def _keep_out(tree: Tree, bystander: ProcessIdentity) -> None:
    member = tree.system.bind(bystander.pid)
    if member is not None:
        if is_same(member, bystander) is not False:
            tree.kept_out.update([member.pid, *tree.system.ancestors(member.pid)])
        tree.system.drop(member)


def _add(gathered: Gathered, claim: Claim, depth: int, *, include_root: bool) -> None:
    """Add one claim to the tree, or to the missing."""
    tree, system = gathered.tree, gathered.tree.system
    known = claim.known
    ended = claim.owner is not None and has_ended(claim.owner)
    member = None if ended else system.bind(claim.pid)
    if member is not None and not tree.accepts(member):
        member = None
    claimed = member is not None and _is_claimed(claim, member)
    # The system refuses its own processes, and the number of a thread.
    named = claimed or (claim.bare and member is None)
    if named and (reason := system.refusal(claim.pid, member)) is not None:
        raise TargetRefusedError(claim.pid, reason)
    if claimed and claim.pid in tree.kept_out:
        reason = "it is the owner of what was to be ended, or started that"
        raise TargetRefusedError(claim.pid, reason)
    if member is not None and claimed:
        known = identity_of(member)
        # A note at this point: nothing below it can be listed, so not the caller either.
        if member.note and member.pid in system.ancestors(os.getpid()):
            tree.holds_caller = True
        _place(tree, claim, member, depth, include_root=include_root)
    else:
        gathered.missing.append(Missing(claim, _lost(system, member)))
        tree.look_for_orphans(everywhere=not is_our_child(claim.owner))
        if claim.bare:
            tree.trust_session(claim.pid)
    if claim.found is None or ROOT & mask(claim.found.evidence):
        gathered.target.append(known)


def _lost(system: System, stranger: Member | None) -> str:
    if stranger is None:
        return GONE
    system.drop(stranger)
    return f"its number belongs to {stranger.name or 'another process'} now, which was not touched"


def _place(tree: Tree, claim: Claim, member: Member, depth: int, *, include_root: bool) -> None:
    if claim.found is not None:
        tree.add_survivor(member, evidence=mask(claim.found.evidence), depth=claim.found.depth)
        member.spared = member.spared or claim.found.spared
    elif include_root and not claim.excluded:
        if claim.command:
            tree.commands.add(member.pid)
        tree.add_root(member, evidence=ROOT, depth=depth)
    else:
        tree.add_excluded(member)


def _is_claimed(claim: Claim, member: Member) -> bool:
    """Whether the process that has the number is the one that was meant.

    Raises:
        TargetRefusedError: it cannot be known.
    """
    same = is_same(member, claim.identity) if claim.identity else None
    if same is False:
        return False
    if claim.owner is not None:
        if is_our_child(claim.owner) and member.ppid != os.getpid():
            known = "it is no child" if member.ppid else "it cannot be proved to be a child"
            reason = f"{known} of this process; pass its number to give your word for it"
            raise TargetRefusedError(claim.pid, reason)
        return member.state != ALIVE or not has_ended(claim.owner)
    if claim.identity is not None and same is None:
        reason = "its identity is too weak to tell; pass its number to give your word for it"
        raise TargetRefusedError(claim.pid, reason)
    return True


def _depth(system: System, claim: Claim, claims: Sequence[Claim]) -> int:
    """Count how far a target is below the topmost other target."""
    if len(claims) == 1 or claim.found is not None:
        return 0
    others = {other.pid for other in claims}
    line = enumerate(system.ancestors(claim.pid), 1)
    return max((depth for depth, pid in line if pid in others), default=0)
