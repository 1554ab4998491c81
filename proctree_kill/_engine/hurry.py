"""Hurry: a wish for force that holds for the kill under way, and for any that begins later."""

from __future__ import annotations

import threading

from .._models.identity import KillResult
from .._models.policy import KillPolicy
from . import owners
from .kill import Killing
from .target import Target, aim


class Hurry:
    """What is to be hurried: the kill that is under way, and any that begins later.

    Attributes:
        wanted: set once it was called.
    """

    def __init__(self) -> None:
        """Begin without any haste."""
        self.wanted = threading.Event()
        self._changing = threading.Lock()
        self._killing: Killing | None = None

    def __call__(self) -> None:
        """Let the force begin, now or as soon as there is somebody to end; from any thread."""
        with self._changing:
            self.wanted.set()
            killing = self._killing
        if killing is not None:
            killing.hurry()

    def kill(self, target: Target, policy: KillPolicy) -> KillResult:
        """End a tree.

        Raises:
            TargetRefusedError: it must not be ended.
        """
        killing = Killing(aim(target), policy)
        with self._changing:
            self._killing = killing
            wanted = self.wanted.is_set()
        if wanted:
            killing.hurry()
        return owners.with_codes(killing.run(), killing.claims)
