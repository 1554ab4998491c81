"""Files that are whole or absent, whenever their writer dies."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".tmp"
RETRY_TIME = 1.0  # seconds for which Windows' readers of a file are waited for
RETRY_POLL = 0.01  # seconds between two tries
DIRECTORY = getattr(os, "O_DIRECTORY", None)
"""The flag that opens a folder; None on Windows, which opens none."""
_WRITE = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)


def absolute(name: str, place: object) -> Path:
    """Return the absolute path that a caller passes by an argument of this name.

    Raises:
        TypeError: it is no path.
        ValueError: it is empty, which pathlib takes for the current folder.
    """
    if not isinstance(place, str | os.PathLike):
        text = f"{name} must be a path (str or os.PathLike), not {place!r}"
        raise TypeError(text)
    if not os.fspath(place):
        text = f"{name} is {place!r}, expected a path"
        raise ValueError(text)
    return Path(place).absolute()


def may_exist(path: Path) -> bool:
    """Whether something has this path; True also where that cannot be seen."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def create(path: Path, data: bytes) -> None:
    """Put a new file in its place, whole and on disk.

    Raises:
        FileExistsError: there is one.
        OSError: it cannot be written; nothing is left of it.
    """
    with _draft(path, data) as draft:
        try:
            os.link(draft, path)
        except FileExistsError:
            raise
        except OSError:  # no hard links: a file may still come between this look and the renaming
            if may_exist(path):
                raise FileExistsError(path) from None
            draft.rename(path)


def replace(path: Path, data: bytes) -> None:
    """Put a file in its place, whole and on disk, over the one that is there.

    Raises:
        OSError: it cannot be written; the file that was there still is.
    """
    with _draft(path, data) as draft:
        retry(lambda: draft.replace(path))


def make_folder(folder: Path) -> None:
    """Make a folder for our user alone; one that is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def retry(change: Callable[[], object]) -> None:
    """Change a name, again while Windows refuses because a reader has the file open.

    Raises:
        OSError: it cannot be changed.
    """
    until = time.monotonic() + RETRY_TIME
    while True:
        try:
            change()
        except PermissionError:
            if DIRECTORY is not None or time.monotonic() >= until:
                raise
            time.sleep(RETRY_POLL)
        else:
            return


@contextmanager
def _draft(path: Path, data: bytes) -> Iterator[Path]:
    """Write a file beside its place, to be named in the block; then bring its name to disk."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    fd = os.open(draft, _WRITE, 0o600)
    try:
        try:
            while data:  # a disk that is full takes a part before it refuses
                data = data[os.write(fd, data) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
    if DIRECTORY is not None:
        folder = os.open(path.parent, os.O_RDONLY | DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
