"""Writing the intent before a tree starts, and the record before the caller has its root."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from .._containment.containment import Containment
from .._engine.process import details, identify
from .._models.errors import RecordError
from .._models.identity import Image, ProcessIdentity
from .._systems.image import image
from .._systems.machine import machine_id, pid_namespace
from .._systems.scarcity import retry
from . import files as record_files
from .files import absolute
from .format import (
    DEFAULT_TOOL,
    RECORD,
    Bare,
    Intent,
    Record,
    UnreadableError,
    digest,
    encode,
    id_of,
    intent_path,
    parse,
)
from .trusted_files import LARGEST, Folder, Opened, UntrustedError

_log = logging.getLogger("proctree_kill")

FORGET_TIME = 1.0  # seconds for which the removal of a file waits for a descriptor
LONGEST_SPARE = LARGEST // 2  # bytes; the rest of a record is far smaller
_checked: set[Path] = set()
"""The folders in which a file of ours was read back."""


class Recording:
    """The intent and the record of one tree, while this process owns it.

    An id has one owner at a time: a file that is there already is never written over.
    """

    def __init__(self, path: str | os.PathLike[str], tool: str = DEFAULT_TOOL) -> None:
        """Prepare a record at this path; nothing is written yet.

        Raises:
            RecordError: it is no name of a record.
            TypeError: it is no path.
        """
        self.path = absolute("record", path)
        self._tool = tool
        self._intent: Intent | None = None
        if not self.path.name.endswith(RECORD):
            raise RecordError(str(self.path), f"the name of a record ends with {RECORD!r}")
        try:
            self._session_id = id_of(self.path)
        except UnreadableError as error:
            raise RecordError(str(self.path), str(error)) from None

    @classmethod
    def at(cls, place: str | os.PathLike[str]) -> Recording:
        """Return a recording as it is, or prepare one at a path."""
        return place if isinstance(place, Recording) else cls(place)

    def __fspath__(self) -> str:
        """Return the path of the record: a recording serves as one."""
        return os.fspath(self.path)

    def write_intent(self, containment: Containment, args: object) -> None:
        """Put the intent on disk: what carries the marker from now on belongs to it.

        Raises:
            RecordError: it cannot be written or read again, or the id has a record already.
        """
        path = intent_path(self.path)
        _check_spare(path, containment.spare)
        owner, ran = _own_identity(os.getpid())
        intent = Intent(
            session_id=self._session_id,
            tool=self._tool,
            marker=containment.marker,
            cgroup=None if containment.cgroup is None else str(containment.cgroup),
            spare=containment.spare,
            owner=owner,
            image=ran,
            machine_id=machine_id(),
            pid_namespace=pid_namespace(),
            argv_digest=digest(args),
            created_at=time.time(),
        )
        with _writing(path):
            record_files.make_folder(path.parent)
            try:
                record_files.create(path, encode(intent))
                self._intent = intent
                _warn_if_untrusted(path)
                taken = record_files.may_exist(self.path)  # after the intent: now the id is ours
            except FileExistsError:
                taken = True
        if taken:
            self.forget()
            raise RecordError(str(self.path), "this id has one; recover it or stop it first")

    def write_record(self, containment: Containment) -> None:
        """Put the record in the place of the intent.

        Raises:
            RecordError: it cannot be written; the intent is still there.
        """
        intent, identity = self._intent, containment.identity
        if intent is None or identity is None:
            raise RecordError(str(self.path), "no tree was started for it")
        age = details(identity).seconds
        record = Record(
            **dict(intent),
            identity=identity,
            session=containment.session,
            create_time=None if age is None else time.time() - age,
        )
        with _writing(self.path):
            record_files.replace(self.path, encode(record))
            intent_path(self.path).unlink()

    def forget(self) -> bool:
        """Remove what was written; return whether nothing of it is left.

        A recovery that has locked the record meanwhile removes it itself.
        """
        intent = self._intent  # another thread may forget it at the same time
        if intent is None:
            return True
        try:
            for path in self.files:
                retry(partial(forget, path, intent.marker), FORGET_TIME)
        except OSError:
            return False
        self._intent = None
        return True

    @property
    def files(self) -> tuple[Path, Path]:
        """The paths of the record and of the intent."""
        return self.path, intent_path(self.path)


def forget(path: Path, marker: str, folder: Folder | None = None) -> None:
    """Remove a file, if it holds this marker, which proves that it is ours.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        opened = Opened(path, folder)
    except (FileNotFoundError, UntrustedError):
        return
    with opened:
        try:
            entry = parse(path, opened.data)
        except UnreadableError:
            return
        if not isinstance(entry, Bare) and entry.marker == marker and opened.lock():
            opened.remove()


@functools.lru_cache(maxsize=1)
def _own_identity(pid: int) -> tuple[ProcessIdentity, Image]:
    return identify(pid), image(pid)  # cached by the number: a fork is another process


def _check_spare(path: Path, spare: Sequence[str]) -> None:
    """Refuse what no recovery could read.

    Raises:
        RecordError: a name is no Unicode text, or all together are too long.
    """
    for text in spare:
        if any(map(_is_surrogate, text)):
            raise RecordError(str(path), f"spare holds {text!r}, expected Unicode text")
    if (size := len(json.dumps(spare))) > LONGEST_SPARE:
        reason = f"spare takes {size} bytes, expected at most {LONGEST_SPARE}"
        raise RecordError(str(path), reason)


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"  # of a byte that is no UTF-8 (os.fsdecode)


def _warn_if_untrusted(path: Path) -> None:
    """Warn where the file that was just written looks like another user's, once for each folder.

    It does on NFS with ``root_squash``, on CIFS, and where user ids are not mapped.
    """
    if path.parent in _checked:
        return
    _checked.add(path.parent)
    try:
        with Opened(path) as opened:
            squashed = None if opened.uid is None else f"it belongs to uid {opened.uid}"
            why = opened.untrusted or squashed
    except UntrustedError as error:
        why = str(error)
    if why:
        _log.warning(
            "no recovery will trust the records in %s, as we wrote one and %s", path.parent, why
        )


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise RecordError for an OSError of the block."""
    try:
        yield
    except OSError as error:
        reason = f"it cannot be written: {error.strerror or error}"
        raise RecordError(str(path), reason) from error
