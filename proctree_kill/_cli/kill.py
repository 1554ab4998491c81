"""The commands ``kill`` and ``tree``."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Collection, Sequence

from .._engine import kill as engine
from .._engine.process import details
from .._models.errors import PolicyError, TargetRefusedError
from .._models.policy import KillPolicy
from .._models.result import Fate, KillResult, SurvivorsError
from .._models.tree import TreeSnapshot
from .._systems import current
from .exit_codes import Exit
from .screen import Screen
from .targets import Bound, Targets, find
from .values import FORCE


def run(options: Namespace, screen: Screen) -> Exit:
    """End trees, or show what would be ended.

    Raises:
        TargetRefusedError: a tree must not be ended.
        PolicyError: an option is out of range.
    """
    return _tree(options, screen) if options.command == "tree" else _kill(options, screen)


def _kill(options: Namespace, screen: Screen) -> Exit:
    policy = policy_of(options).but(include_root=options.include_root)
    targets = find(options, screen, confirm=True)

    def end(accepted: Sequence[Bound]) -> KillResult:
        with screen.grace(policy.grace, verbose=options.verbose):
            return engine.kill_tree(
                accepted, policy=policy, marker=options.marker, spare=options.spare
            )

    accepted, refused = targets
    results = []
    if accepted:
        try:
            results.append(end(accepted))
        except TargetRefusedError:
            accepted, refused = separate(targets, options)
            if accepted:
                results.append(end(accepted))
    survived = not all(result.ok for result in results)
    if options.json:
        dumped = [result.model_dump(mode="json") for result in results]
        ok = not (survived or refused)
        screen.json({"ok": ok, "results": dumped, "refused": [*refused.values()]})
    else:
        for result in results:
            screen.table(result, fold=not options.verbose)
    for result in results:
        explain(result, screen, quiet=options.quiet)
    for text in refused.values():
        screen.error(f"{text}; {'it was not' if results else 'nothing was'} touched")
    advise(refused, screen)
    if survived:
        return Exit.ALIVE
    return Exit.REFUSED if refused else Exit.GONE


def explain(result: KillResult, screen: Screen, *, quiet: bool) -> None:
    """Write what still lives, where no table has shown it, and why it may not be ended."""
    if quiet and not result.ok:
        screen.error(str(SurvivorsError(result)))
    denied = [outcome for outcome in result.survivors if outcome.fate is Fate.DENIED]
    users = {details(outcome.identity).user or "another user" for outcome in denied}
    if users:
        screen.error(f"this user may not end processes of {' and '.join(sorted(users))}")


def separate(targets: Targets, options: Namespace) -> Targets:
    """Separate targets that are refused from the others."""
    accepted, refused = [], {**targets.refused}
    for target in targets.accepted:
        pid = target if isinstance(target, int) else target.pid
        try:
            snapshot = engine.snapshot_tree(
                target,
                marker=options.marker,
                spare=options.spare,
                include_root=options.include_root,
            )
        except TargetRefusedError as refusal:  # no process has such a number
            refused[pid] = str(refusal)
        else:
            if snapshot.refusal is None:
                accepted.append(target)
            else:
                refused[pid] = snapshot.refusal
    return Targets(accepted, refused)


def policy_of(options: Namespace) -> KillPolicy:
    """Return the policy of the options about time and signals.

    Raises:
        PolicyError: an option is out of range, or there are two of a kind.
    """
    given = KillPolicy().but(
        grace=options.grace,
        settle=options.settle,
        teardown=options.teardown,
        terminate=options.terminate,
    )
    if options.signal is None:
        return given
    if options.teardown is not None:
        text = "--signal is for one request; name each signal in --teardown"
        raise PolicyError(text)
    if options.signal == FORCE:
        return given.but(grace=0.0)
    if not given.grace:
        text = f"--signal is {options.signal!r}, but force at once (a grace of 0) asks nothing"
        raise PolicyError(text)
    return given.but(teardown=[(options.signal, given.grace)])


def _tree(options: Namespace, screen: Screen) -> Exit:
    targets = find(options, screen)
    if len(targets.accepted) > 1:
        targets = separate(targets, options)
    accepted, refused = targets
    snapshot = TreeSnapshot(target=(), members=())
    if accepted:
        snapshot = engine.snapshot_tree(
            accepted,
            marker=options.marker,
            spare=options.spare,
            include_root=options.include_root,
        )
    texts = [*filter(None, [snapshot.refusal]), *refused.values()]
    if options.json:
        refusal = "; ".join(texts) or None
        screen.json(snapshot.model_copy(update={"refusal": refusal}).model_dump(mode="json"))
    elif snapshot.members:
        screen.tree(snapshot, fold=not options.verbose)
    elif accepted and not texts:
        screen.info("no process to end")
    if not texts:
        return Exit.GONE
    if not options.json:
        screen.info("\n".join(texts))
    advise(
        refused or [target if isinstance(target, int) else target.pid for target in accepted],
        screen,
    )
    return Exit.REFUSED


def advise(pids: Collection[int], screen: Screen) -> None:
    """Write what to do about refused targets."""
    with current() as system:
        own_line = {os.getpid(), *system.ancestors(os.getpid())} - {1}
    if not own_line.isdisjoint(pids):
        screen.error("this command runs inside that tree; call it from another terminal")
