"""Files that are whole or absent, whenever their writer dies, and that are read with doubt."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from ._platform._locks import lock

LARGEST = 1 << 16
"""Bytes; no file of ours is larger."""
TEMPORARY = ".tmp"
FORGOTTEN = 3600.0
"""Seconds after which a file that was not finished is nobody's any more."""
READERS, PAUSE = 1.0, 0.01
"""Seconds that a reader is waited for, and between two looks whether it has left."""
_DIRECTORY = getattr(os, "O_DIRECTORY", None)
_READ = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # or a pipe of that name would hold us up
    | getattr(os, "O_BINARY", 0)
)
_WRITE = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)


def create(path: Path, data: bytes) -> None:
    """Put a new file in its place, whole and on disk.

    Raises:
        FileExistsError: there is one.
        OSError: it cannot be written; nothing is left of it.
    """
    draft = _draft(path, data)
    try:
        _link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)


def replace(path: Path, data: bytes) -> None:
    """Put a file in its place, whole and on disk, over the one that is there.

    Raises:
        OSError: it cannot be written; whatever was there still is.
    """
    draft = _draft(path, data)
    try:
        _patiently(lambda: draft.replace(path))
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(folder: Path) -> None:
    """Have the names in a folder on disk as well, where the system lets folders be opened."""
    if _DIRECTORY is None:
        return
    fd = os.open(folder, os.O_RDONLY | _DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Make a folder for ourselves alone; one that is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def tidy(folder: Path) -> None:
    """Remove what writers left that died an hour ago or earlier."""
    for path in folder.glob(f".session_*{TEMPORARY}"):
        with contextlib.suppress(OSError):  # another one tidies as well
            if time.time() - path.stat().st_mtime > FORGOTTEN:
                path.unlink()


class Opened:
    """A file that was opened, and what it held.

    Attributes:
        data: its bytes.
        written: when it was written, in seconds since the epoch.
    """

    def __init__(self, path: Path) -> None:
        """Open and read it.

        Raises:
            OSError: it is not there, no plain file, too large, or not ours to read.
        """
        self.path = path
        self._fd = os.open(path, _READ)
        try:
            found = os.fstat(self._fd)
            _check_plain(found)
            self.data = os.read(self._fd, LARGEST)
            self.written = found.st_mtime
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def lock(self) -> bool:
        """Take it for us alone until it is closed; False where another one has it, or had."""
        return lock(self._fd) and self._is_in_place()

    def remove(self) -> None:
        """Remove it, unless another file is in its place.

        Raises:
            OSError: it cannot be removed.
        """
        if not self._is_in_place():
            return
        try:
            self.path.unlink(missing_ok=True)
        except PermissionError:  # Windows removes no file that is open
            self._close()
            _patiently(lambda: self.path.unlink(missing_ok=True))
        sync(self.path.parent)

    def _is_in_place(self) -> bool:
        """Tell whether its name still leads to it."""
        try:
            return os.path.samestat(os.fstat(self._fd), self.path.stat())
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _patiently(act: Callable[[], object]) -> None:
    """Change a name; Windows refuses while anybody has that file open, and readers are quick.

    Raises:
        OSError: it cannot be changed.
    """
    until = time.monotonic() + READERS
    while True:
        try:
            act()
        except PermissionError:
            if _DIRECTORY is not None or time.monotonic() >= until:
                raise
            time.sleep(PAUSE)
        else:
            return


def _check_plain(found: os.stat_result) -> None:
    """Refuse what no writer of ours makes.

    Raises:
        OSError: it is a pipe, a folder, or far too large.
    """
    if not stat.S_ISREG(found.st_mode):
        text = "it is no plain file"
        raise OSError(text)
    if found.st_size > LARGEST:
        text = "it is too large"
        raise OSError(text)


def _draft(path: Path, data: bytes) -> Path:
    """Write a file beside its place, and have it on disk.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    fd = os.open(draft, _WRITE, 0o600)
    try:
        try:
            _write(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _write(fd: int, data: bytes) -> None:
    """Write all of it; a disk that is full takes a part before it says so."""
    while data:
        data = data[os.write(fd, data) :]


def _link(draft: Path, path: Path) -> None:
    """Give a file its name, if nobody has that.

    A file system without hard links leaves a moment between the look and the renaming.
    """
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        if path.exists():
            raise FileExistsError(path) from None
        draft.rename(path)
