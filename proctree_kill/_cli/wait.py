"""The command ``wait``."""

from __future__ import annotations

import math
import time
from argparse import Namespace
from collections.abc import Sequence

from .._engine import kill as engine
from .._engine.rest import RestWaiter
from .._engine.target import aim
from .._models.tree import TreeMember, TreeSnapshot
from .._running import threads
from .exit_codes import Exit
from .kill import advise
from .screen import Screen
from .targets import Bound, find


def run(options: Namespace, screen: Screen) -> Exit:
    """Wait for the end of trees.

    Raises:
        TargetRefusedError: a tree holds this command, or init.
        UndecidedError: it is not clear what a target means.
    """
    begun = time.monotonic()
    accepted, refused = find(options, screen)
    snapshot = TreeSnapshot(target=(), members=())
    if accepted and not refused:
        snapshot = engine.snapshot_tree(accepted)
    texts = [*refused.values(), *filter(None, [snapshot.refusal])]
    for text in texts:
        screen.error(text)
    if texts:
        advise(refused or [identity.pid for identity in snapshot.target], screen)
    if texts or not accepted:
        if options.json:
            screen.json({"ok": not texts, "seconds": 0.0, "living": [], "refused": texts})
        return Exit.REFUSED if texts else Exit.GONE
    try:
        with screen.waiting(lambda: _texts(len(snapshot.members), begun), every=1.0):
            living = threads.run(TreeWait(accepted, begun + (options.timeout or math.inf)))
    except KeyboardInterrupt:
        screen.error("interrupted; nothing was touched", start="\r")  # over the ^C
        raise
    seconds = time.monotonic() - begun
    if options.json:
        dumped = [member.model_dump(mode="json") for member in living]
        screen.json({"ok": not living, "seconds": seconds, "living": dumped, "refused": []})
    elif living:
        screen.tree(TreeSnapshot(target=snapshot.target, members=tuple(living)))
        screen.info(f"{len(living)} still alive after {seconds:.2f} s")
    elif snapshot.members:
        screen.info(f"no process is left, after {seconds:.2f} s")
    else:
        gone = ", ".join(str(identity.pid) for identity in snapshot.target)
        some = "process" if len(snapshot.target) == 1 else "all of the processes"
        screen.info(f"nothing to wait for: {some} {gone} had ended already")
    return Exit.TIMEOUT if living else Exit.GONE


def _texts(count: int, begun: float) -> Sequence[str]:
    some = "1 process" if count == 1 else f"{count:,} processes"
    seconds = f"{time.monotonic() - begun:.0f} s"
    return (
        f"waiting for {some} · {seconds} · Ctrl-C ends the wait only",
        f"{count:,} left · {seconds} · Ctrl-C stops waiting",
    )


class TreeWait:
    """A wait for the end of trees, in any thread."""

    def __init__(self, targets: Sequence[Bound], until: float) -> None:
        """Prepare the wait.

        Args:
            targets: the roots.
            until: when to give up, on the monotonic clock.
        """
        self._until = until
        self._waiter = RestWaiter(aim(targets))

    def run(self) -> list[TreeMember]:
        """Wait; return what still lives."""
        with self._waiter as waiter:
            gone = waiter.wait(lambda: self._until)
            return [] if gone else waiter.living()

    def hurry(self) -> None:
        """End the wait."""
        self._waiter.wake()
