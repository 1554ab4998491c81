"""The commands ``kill`` and ``tree``."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence

from .._engine import kill as engine
from .._models.errors import PolicyError
from .._models.policy import KillPolicy
from .._systems import current
from .exit_codes import Exit
from .screen import Screen


def run(options: Namespace, screen: Screen) -> Exit:
    """End trees, or show what would be ended.

    Raises:
        TargetRefusedError: a tree must not be ended.
        PolicyError: an option is out of range.
    """
    return _tree(options, screen) if options.command == "tree" else _kill(options, screen)


def _kill(options: Namespace, screen: Screen) -> Exit:
    policy = policy_of(options).but(terminate=options.terminate, include_root=options.include_root)
    with screen.grace(policy.grace, verbose=options.verbose):
        result = engine.kill_tree(
            options.pids, policy=policy, marker=options.marker, spare=options.spare
        )
    if options.json:
        screen.json({"ok": result.ok, "results": [result.model_dump(mode="json")]})
    else:
        screen.result(result, fold=not options.verbose)
    return Exit.GONE if result.ok else Exit.ALIVE


def policy_of(options: Namespace) -> KillPolicy:
    """Return the policy of the options about time and signals.

    Raises:
        PolicyError: an option is out of range, or there are two of a kind.
    """
    given = KillPolicy().but(grace=options.grace, settle=options.settle, teardown=options.teardown)
    if options.signal is None:
        return given
    if options.teardown is not None:
        text = "--signal is for one request; name each signal in --teardown"
        raise PolicyError(text)
    if not given.grace:
        text = f"--signal is {options.signal!r}, but force at once (a grace of 0) asks nothing"
        raise PolicyError(text)
    return given.but(teardown=[(options.signal, given.grace)])


def _tree(options: Namespace, screen: Screen) -> Exit:
    snapshot = engine.snapshot_tree(
        options.pids,
        marker=options.marker,
        spare=options.spare,
        include_root=options.include_root,
    )
    if options.json:
        screen.json(snapshot.model_dump(mode="json"))
    elif snapshot.members:
        screen.tree(snapshot, fold=not options.verbose)
    elif snapshot.refusal is None:
        screen.info("no process to end")
    if snapshot.refusal is None:
        return Exit.GONE
    if not options.json:
        screen.info(snapshot.refusal)
    advise(options.pids, screen)
    return Exit.REFUSED


def advise(pids: Sequence[int], screen: Screen) -> None:
    """Write what to do about a refused target."""
    if min(pids) < 0:  # kill -9 PID
        screen.error("--force kills at once; --signal NAME chooses how to ask")
        return
    with current() as system:
        own_line = {os.getpid(), *system.ancestors(os.getpid())} - {1}
    if not own_line.isdisjoint(pids):
        screen.error("this command runs inside that tree; call it from another terminal")
