"""A wait for the rest of a tree, which may leave by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from .._systems import current
from .._systems.member import ALIVE
from .gather import gather
from .scan import scan
from .target import Aim

LOOK_TIME = 1.0  # seconds that the first look may take: in a storm it could take many
PAUSE = 0.01  # seconds between two looks of which the first may have missed a member
UNSURE_LOOKS = 10  # at most: unrelated processes may come and go for ever


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
        unsure = 0
        while True:
            self.spares = self.spares or any(member.spared is not None for member in found)
            living = [member for member in found if member.spared is None and member.state == ALIVE]
            if not living:
                unsure += 1
                if tree.sure or unsure > UNSURE_LOOKS:
                    return True
                system.wait([], min(until(), system.now() + PAUSE))
            while living:
                dead = system.wait(living, until())
                system.inspect(dead)  # reaps those that this process adopted
                living = [member for member in living if member not in dead]
                if living and self._is_over(until):
                    return False
            if self._is_over(until):
                return False
            found = scan(tree)

    def wake(self) -> None:
        """End the wait, now or as soon as it begins; callable from any thread."""
        with self._closing:
            if not self._closed:
                self._system.hurry()

    def _is_over(self, until: Callable[[], float]) -> bool:
        return self._system.hurried or self._system.now() >= until()
