"""The value of the fixture ``tree_popen``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from .._engine.kill import kill_tree
from .._models.errors import ContainmentError
from .._spawn.popen import TreePopen

if TYPE_CHECKING:
    from .._spawn.options import Command


class TreeStarter:
    """Starts trees, and ends them together.

    Attributes:
        grace: seconds between the polite request and force (default 0: force at once).
    """

    def __init__(self) -> None:
        """Begin with no tree."""
        self.grace = 0.0
        self._started: list[TreePopen[Any]] = []

    def __call__(self, args: Command, **options: Any) -> TreePopen[Any]:
        """Start a tree, as :class:`TreePopen` does.

        ``kill_on_parent_exit`` is set where it can be had: pytest-timeout may end this process
        by ``os._exit``.
        """
        guarded: dict[str, Any] = {"kill_on_parent_exit": options.get("leftovers") != "leave"}
        guarded |= options
        try:
            process: TreePopen[Any] = TreePopen(args, **guarded)
        except ContainmentError:
            if guarded == options:
                raise
            process = TreePopen(args, **options)
        self._started.append(process)
        return process

    def end(self) -> None:
        """End all trees within one deadline.

        Raises:
            SurvivorsError: a process is alive.
        """
        started, self._started = self._started, []
        if not started:
            return
        result = kill_tree(started, grace=self.grace)
        for tree in started:
            for pipe in filter(None, (tree.stdin, tree.stdout, tree.stderr)):
                with contextlib.suppress(BrokenPipeError):  # unread input is still buffered
                    pipe.close()
        result.raise_for_survivors()
