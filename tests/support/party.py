"""A tree of shells that says in a named pipe who is there, for those who pass no descriptors."""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import Self

from .trees import BOUND

LONG = 1000
SCRIPT = f"""
exec 9>"$1"
setsid sh -c 'echo daemon >&9; exec sleep {LONG}' &
sh -c 'echo child >&9; exec sleep {LONG}' &
echo root >&9
shift
[ $# = 0 ] && exec sleep {LONG}
"$@"
"""


class Party:
    """A root, a child, and a daemon that has left the session; as many as asked may speak."""

    def __init__(self, folder: Path) -> None:
        """Make the pipe."""
        self._path = folder / "party"
        os.mkfifo(self._path)
        self._ear = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        self._heard = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._ear)

    def argv(self, *root: str) -> list[str]:
        """Return the command; the root sleeps, or becomes another command at last."""
        return ["sh", "-c", SCRIPT, "sh", str(self._path), *root]

    def assemble(self) -> None:
        """Wait until everybody has spoken."""
        while sorted(self._heard.split()) != [b"child", b"daemon", b"root"]:
            assert self._read(), f"all left, after {self._heard!r}"

    def is_over(self) -> bool:
        """Wait until nobody is left, for so long that it would be a failure."""
        while self._read():
            pass
        return True

    def _read(self) -> bytes:
        """Read what was said; nothing at the end of the last writer."""
        assert select.select([self._ear], [], [], BOUND)[0], f"nothing after {self._heard!r}"
        said = os.read(self._ear, 4096)
        self._heard += said
        return said
