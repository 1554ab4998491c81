"""Windows: the console, whose keys reach everybody on it."""

from __future__ import annotations

from typing import Self


class Console:
    """The console; :class:`~._system.Terminal` says what each method promises.

    Where there is none, none of its keys can come either.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __bool__(self) -> bool:
        return True

    def reaches(self, _pid: int) -> bool:
        """Return True: Ctrl-C is told to every process on it."""
        return True

    def reclaim(self, *, modes: bool) -> None:
        """Do nothing: a console knows no groups, and programs put its modes back themselves."""
