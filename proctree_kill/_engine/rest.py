"""A wait for the rest of a tree, which may leave by itself."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Self

from .._models.tree import TreeMember
from .._systems import current
from .._systems.member import ALIVE, Member, leaves_first, model_of
from .gather import gather
from .scan import scan
from .target import Aim
from .tree import Tree

LOOK_TIME = 1.0  # seconds that the first look may take: in a storm it could take many
PAUSE = 0.01  # seconds between two looks of which the first may have missed a member
UNSURE_LOOKS = 10  # at most: unrelated processes may come and go for ever
BIRTH_PAUSE, TABLE_PAUSE = 0.25, 1.0
"""Seconds between two looks for what only a living parent leads to; the second reads a table."""


class RestWaiter:
    """A wait for the end of all members that are not spared; :meth:`wake` ends it.

    Attributes:
        spares: whether a spared member was found.
    """

    def __init__(self, aim: Aim) -> None:
        """Open the system; no process is looked at yet."""
        self.spares = False
        self._aim = aim
        self._closing = threading.Lock()
        self._closed = False
        self._living: list[Member] = []
        self._judged = 0.0  # when it was last asked whether these are spared
        self._system = current()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._closing:
            self._closed = True
            self._system.close()

    def wait(self, until: Callable[[], float]) -> bool:
        """Wait until no member is left.

        Args:
            until: returns when to give up, on the monotonic clock; it is asked again at that time.

        Returns:
            Whether no member is left: False after that time or after :meth:`wake`.

        Raises:
            TargetRefusedError: the tree must not be touched by this process.
        """
        system = self._system
        look_end = system.now() + LOOK_TIME
        tree = gather(system, self._aim, include_root=True, deadline=look_end).tree
        found = tree.members
        self._judged = system.now()
        unsure = 0
        while True:
            self._living = self._to_end(found)
            if not self._living:
                unsure += 1
                if tree.sure or unsure > UNSURE_LOOKS:
                    return True
                system.wait([], min(until(), system.now() + PAUSE))
            while self._living:
                dead = system.wait(self._living, min(until(), self._next_look(tree)))
                system.inspect(dead)  # reaps those that this process adopted
                self._living = [member for member in self._living if member not in dead]
                self._judge(tree)
                if self._living and self._is_over(until):
                    return False
                if self._living and not self._is_known(tree):
                    self._living += self._to_end(scan(tree, light=True))
            if self._is_over(until):
                return False
            found = scan(tree)

    def living(self) -> list[TreeMember]:
        """Return the members that were alive at the last look."""
        return [model_of(member) for member in leaves_first(self._living)]

    def may_write(self, files: Collection[tuple[int, int]]) -> bool:
        """Whether a member that is not spared may have one of these files open.

        Args:
            files: each a device and an inode.
        """
        return not self.spares or any(self._system.holds(member, files) for member in self._living)

    def wake(self) -> None:
        """End the wait, now or as soon as it begins; callable from any thread."""
        with self._closing:
            if not self._closed:
                self._system.hurry()

    def _to_end(self, found: Iterable[Member]) -> list[Member]:
        """Return the living members that are not spared, and note whether one is."""
        found = list(found)
        self.spares = self.spares or any(member.spared is not None for member in found)
        return [member for member in found if member.spared is None and member.state == ALIVE]

    def _judge(self, tree: Tree) -> None:
        """Drop those that have become a program which is spared, as a daemon that was forked."""
        now = self._system.now()
        if _may_spare(tree) and now >= self._judged + BIRTH_PAUSE:
            self._judged = now
            if tree.spare_again(self._living):
                self._living = self._to_end(self._living)

    def _is_known(self, tree: Tree) -> bool:
        """Whether what members start later is found also when these are dead."""
        return tree.rooted or bool(tree.aim.cells) or self._system.keeps_links

    def _next_look(self, tree: Tree) -> float:
        if self._is_known(tree):
            return self._judged + BIRTH_PAUSE if _may_spare(tree) else math.inf
        pause = TABLE_PAUSE if self._system.last_start() is None else BIRTH_PAUSE
        return self._system.now() + pause

    def _is_over(self, until: Callable[[], float]) -> bool:
        return self._system.hurried or self._system.now() >= until()


def _may_spare(tree: Tree) -> bool:
    return tree.aim.spared is not None and tree.aim.spared.may_change
