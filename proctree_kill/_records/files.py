"""Files that are whole or absent, whenever their writer dies."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

TEMPORARY = ".tmp"
READERS, PAUSE = 1.0, 0.01
"""Seconds that a reader is waited for, and between two looks whether it has left."""
DIRECTORY = getattr(os, "O_DIRECTORY", None)
"""The flag that opens a folder; None on Windows, which opens none."""
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
        patiently(lambda: draft.replace(path))
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(folder: Path) -> None:
    """Have the names in a folder on disk as well, where the system lets folders be opened."""
    if DIRECTORY is None:
        return
    fd = os.open(folder, os.O_RDONLY | DIRECTORY)
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


def patiently(act: Callable[[], object]) -> None:
    """Change a name; Windows refuses while anybody has that file open, and readers are quick.

    Raises:
        OSError: it cannot be changed.
    """
    until = time.monotonic() + READERS
    while True:
        try:
            act()
        except PermissionError:
            if DIRECTORY is not None or time.monotonic() >= until:
                raise
            time.sleep(PAUSE)
        else:
            return


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
