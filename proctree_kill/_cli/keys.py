"""Keys that ask a command to exit, typed again because it goes on."""

from __future__ import annotations

from collections.abc import Callable

LOOK_TIME = 0.5  # seconds after a key in which a prompt that heeds it reads keys again
FORGET_TIME = 60.0  # seconds after which a key is a first one again


class RepeatedKeys:
    """Tells a second Ctrl-C from one that the command has dealt with.

    The first is the command's. In raw mode all are: an editor, or the prompt of an interpreter
    that a Ctrl-C led back to.

    Attributes:
        look_at: when :meth:`look` is to be called, on the monotonic clock; None is never.
    """

    def __init__(self, is_canonical: Callable[[], bool]) -> None:
        """Begin without a key; the function says whether the terminal is in canonical mode."""
        self.look_at: float | None = None
        self._is_canonical = is_canonical
        self._last: float | None = None

    def typed(self, now: float) -> bool:
        """Note a key; return whether it is a second one."""
        if not self._is_canonical():
            self._last = self.look_at = None
            return False
        repeated = self._last is not None and now - self._last < FORGET_TIME
        self._last = now
        self.look_at = now + LOOK_TIME
        return repeated

    def look(self) -> None:
        """Forget the key if the terminal is in raw mode by now."""
        self.look_at = None
        if not self._is_canonical():
            self._last = None
