"""A tree of shells that hold a named pipe, for programs that hand down no descriptors."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

from .times import BOUND, LONG
from .waiting import read_until

SCRIPT = f"""
exec 9>"$1"
setsid sh -c 'echo daemon >&9; exec sleep {LONG}' &
sh -c 'echo child >&9; exec sleep {LONG}' &
echo root >&9
shift
[ $# = 0 ] && exec sleep {LONG}
"$@"
"""


class PipeHolders:
    """A root, a child, and a daemon that has left the session."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "pipe"
        os.mkfifo(self._path)
        self._reader = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        self._text = b""
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._reader)

    def argv(self, *root: str) -> list[str]:
        """Return the command; the root sleeps, or becomes another command at last."""
        return ["sh", "-c", SCRIPT, "sh", str(self._path), *root]

    def await_started(self) -> None:
        """Wait until all three have started."""
        names = [b"child", b"daemon", b"root"]
        self._read_until(lambda: self._ended or sorted(self._text.split()) == names)
        assert not self._ended, f"all left, after {self._text!r}"

    def all_dead(self) -> bool:
        self._read_until(lambda: self._ended)
        return True

    def _read_until(self, enough: Callable[[], bool]) -> None:
        assert read_until(enough, lambda: [self._reader], self._read, BOUND), (
            f"nothing after {self._text!r}"
        )

    def _read(self, reader: int) -> None:
        text = os.read(reader, 4096)
        self._text += text
        self._ended = not text
