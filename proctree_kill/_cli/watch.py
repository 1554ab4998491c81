"""Following a kill while it happens, to its end or to what an interrupt made of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from .._models.identity import KillEvent
from .screen import Screen
from .tables import step


class Watcher:
    """Is told of each event."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Begin before the first event; ``tell`` says what happens."""
        self.tell = tell
        self._last: KillEvent | None = None

    def __call__(self, event: KillEvent) -> None:
        """Take in what has just happened."""
        self._last = event
        self.tell(step(event))

    def interrupted(self) -> str:
        """Say what an interrupt left: the library finishes what it began, then raises it."""
        if self._last is None:
            return "interrupted; nothing was touched"
        left = self._last.remaining
        return f"interrupted; forced, {f'{left} still alive' if left else 'nobody is left'}"


@contextlib.contextmanager
def watching(screen: Screen, *, verbose: bool = False) -> Iterator[Watcher]:
    """Show what happens, in lines that stay or in one that changes."""
    watcher = Watcher(screen.note)
    try:
        with screen.progress(hidden=verbose) as progress:
            watcher.tell = screen.note if verbose else progress
            yield watcher
    except KeyboardInterrupt:
        screen.complain(watcher.interrupted())
        raise
