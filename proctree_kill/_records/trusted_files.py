"""Files that others may have written: opened without following links, and read with doubt."""

from __future__ import annotations

import contextlib
import os
import stat
import time
import weakref
from pathlib import Path
from typing import Self

from .._systems import trust
from .._systems.lock import lock
from .files import DIRECTORY, TEMPORARY, retry

LARGEST = 1 << 16  # bytes; no file of ours is larger
DRAFT_AGE = 3600.0  # seconds after which the writer of a draft is taken for dead
LINK = "it is a link"
REPARSE_POINT = 0x400
"""FILE_ATTRIBUTE_REPARSE_POINT (winnt.h)."""
_READ = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # the open of a FIFO would wait for its writer
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


class UntrustedError(OSError):
    """A file is not of the kind that a writer of ours makes."""


class Folder:
    """A folder that was opened once; its files are reached beneath it, wherever its path leads now.

    The path itself may lead over a link.
    Windows opens no folders: there files are reached by their paths.

    Attributes:
        path: its path.
        close: closes the descriptor.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            OSError: it cannot be read.
        """
        self.path = path
        self._fd = None
        if DIRECTORY is None:
            os.stat(path)  # noqa: PTH116 - raises where it is not there
        else:
            self._fd = os.open(path, os.O_RDONLY | DIRECTORY)
        self.close = weakref.finalize(self, _close, self._fd)

    def names(self) -> list[str]:
        """List the names in it.

        Raises:
            OSError: it cannot be read.
        """
        if self._fd is None or DIRECTORY is None:
            return os.listdir(self.path)  # noqa: PTH208 - names only
        # Threads that share one descriptor share its position in the list as well.
        fd = os.open(".", os.O_RDONLY | DIRECTORY, dir_fd=self._fd)
        try:
            return os.listdir(fd)  # noqa: PTH208 - pathlib knows no descriptors
        finally:
            os.close(fd)

    def open(self, name: str) -> int:
        """Open a file to be read; no link is followed where the system can do that."""
        return os.open(self._reach(name), _READ, dir_fd=self._fd)

    def stat(self, name: str) -> os.stat_result:
        """Return the status of a file, or of the link that has its name."""
        return os.stat(self._reach(name), dir_fd=self._fd, follow_symlinks=False)

    def unlink(self, name: str) -> None:
        """Remove a name, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._reach(name), dir_fd=self._fd)

    def sync(self) -> None:
        """Bring the names to disk."""
        if self._fd is not None:
            os.fsync(self._fd)

    def tidy(self) -> None:
        """Remove the drafts of writers that died before they could."""
        for name in self.names():
            if name.startswith(".session_") and name.endswith(TEMPORARY):
                with contextlib.suppress(OSError):  # another recovery tidies as well
                    if time.time() - self.stat(name).st_mtime > DRAFT_AGE:
                        self.unlink(name)

    def count_drafts(self, name: str, found: os.stat_result) -> int:
        """Count the names of drafts that lead to a file as well."""
        count = 0
        for other in self.names():
            if other.startswith(f".{name}.") and other.endswith(TEMPORARY):
                with contextlib.suppress(FileNotFoundError):
                    count += os.path.samestat(found, self.stat(other))
        return count

    def _reach(self, name: str) -> str | Path:
        return self.path / name if self._fd is None else name


class Opened:
    """A file that was opened, what it holds, and with whose rights it may be acted upon.

    Attributes:
        data: its bytes.
        written: when it was written, in seconds since the epoch.
        writer: the uid of its owner; 0 where the system has none.
        untrusted: why it must not be acted upon; None where it may be.
        uid: the user with whose rights alone it may be acted upon; None: with ours.
    """

    def __init__(self, path: Path, folder: Folder | None = None) -> None:
        """Open and read it.

        Args:
            path: where it is.
            folder: its folder, where that is open already.

        Raises:
            FileNotFoundError: it is not there.
            UntrustedError: it is no regular file, or too large.
            OSError: it cannot be read.
        """
        self.path = path
        with contextlib.ExitStack() as stack:
            self._folder = folder or stack.enter_context(contextlib.closing(Folder(path.parent)))
            self._fd = self._open()
            stack.callback(self._close_file)
            found = os.fstat(self._fd)
            _check_plain(found)
            self.data = os.read(self._fd, LARGEST)
            self.written, self.writer = found.st_mtime, found.st_uid
            trusted = trust(self._fd, found)
            self.untrusted = trusted.why_not or self._link_reason(found)
            self.uid = trusted.uid
            self._opened = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def lock(self) -> bool:
        """Lock it until it is closed; False where another process has or had the lock."""
        return lock(self._fd) and self._is_in_place()

    def remove(self) -> None:
        """Remove it, unless another file is in its place.

        Raises:
            OSError: it cannot be removed.
        """
        if not self._is_in_place():
            return
        try:
            self._folder.unlink(self.path.name)
        except PermissionError:  # Windows removes no file that is open
            self._close_file()
            retry(lambda: self._folder.unlink(self.path.name))
        self._folder.sync()

    def _open(self) -> int:
        try:
            return self._folder.open(self.path.name)
        except FileNotFoundError:
            raise
        except OSError:  # each system refuses links and sockets with an error of its own
            found = self._folder.stat(self.path.name)
            _check_plain(found)
            if (why := trust(None, found).why_not) is not None:
                raise UntrustedError(why) from None
            raise

    def _link_reason(self, found: os.stat_result) -> str | None:
        """Return why the file may come from another folder, by a link; None where it cannot."""
        if not (hasattr(os, "O_NOFOLLOW") or self._is_in_place()):
            return LINK
        if found.st_nlink <= 1:
            return None
        drafts = self._folder.count_drafts(self.path.name, found)  # of a writer that died
        links = os.fstat(self._fd).st_nlink  # a writer may have removed its draft meanwhile
        return None if links - drafts <= 1 else f"it has {links} names (hard links)"

    def _is_in_place(self) -> bool:
        """Whether its name still leads to it, and not by a link."""
        try:
            found = self._folder.stat(self.path.name)
        except FileNotFoundError:
            return False
        return not _is_reparse_point(found) and os.path.samestat(os.fstat(self._fd), found)

    def _close_file(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_trusted(path: Path, folder: Folder | None = None) -> bool:
    """Whether a file may be acted upon, by its kind, owner and mode."""
    try:
        with Opened(path, folder) as opened:
            return opened.untrusted is None
    except OSError:
        return False


def _close(fd: int | None) -> None:
    if fd is not None:
        os.close(fd)


def _is_reparse_point(found: os.stat_result) -> bool:
    """Whether it is a link of any of Windows' kinds."""
    return bool(getattr(found, "st_file_attributes", 0) & REPARSE_POINT)


def _check_plain(found: os.stat_result) -> None:
    """Refuse a file of a kind that no writer of ours makes.

    Raises:
        UntrustedError: it is a link, a pipe, a folder, or too large.
    """
    if stat.S_ISLNK(found.st_mode) or _is_reparse_point(found):
        raise UntrustedError(LINK)
    if not stat.S_ISREG(found.st_mode):
        text = "it is no regular file"
        raise UntrustedError(text)
    if found.st_size > LARGEST:
        text = f"it is larger than {LARGEST} bytes"
        raise UntrustedError(text)
