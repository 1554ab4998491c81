"""What the fixture ``tree_popen`` gives: trees that end together."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from .._engine.kill import kill_tree
from .._spawn.popen import TreePopen

if TYPE_CHECKING:
    from .._spawn.options import Command


class TreeStarter:
    """Starts trees, and ends them all at once.

    Attributes:
        grace: seconds between the polite request and the force; 0 forces at once.
    """

    def __init__(self) -> None:
        """Begin with no tree, and with little patience."""
        self.grace = 0.0
        self._started: list[TreePopen[Any]] = []

    def __call__(self, args: Command, **options: Any) -> TreePopen[Any]:
        """Start a process.

        Args:
            args: as for :class:`TreePopen`.
            options: as for :class:`TreePopen`.

        Raises:
            Exception: as for :class:`TreePopen`.
        """
        process: TreePopen[Any] = TreePopen(args, **options)
        self._started.append(process)
        return process

    def end(self) -> None:
        """End all trees, under one deadline.

        Raises:
            SurvivorsError: somebody lives.
        """
        started, self._started = self._started, []
        if not started:
            return
        result = kill_tree(started, grace=self.grace)
        for pipe in (one for tree in started for one in (tree.stdin, tree.stdout, tree.stderr)):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # it may hold what nobody will read
                    pipe.close()
        result.raise_for_survivors()
