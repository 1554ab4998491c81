"""Ending what a dead owner left behind: recover, arecover."""

from __future__ import annotations

import os
from pathlib import Path

from .._models.errors import RecordError
from .._models.policy import KillPolicy
from .._running import loops, threads
from .._running.threads import Parallel
from .format import RECORD, entries
from .recover_record import RecordRecovery
from .report import RecoveryReport
from .trusted_files import Folder, is_trusted

AT_ONCE = 32
"""How many trees are ended at the same time; each needs a thread and a look at everybody."""


def recover(
    directory: str | os.PathLike[str],
    *,
    policy: KillPolicy | None = None,
    dry_run: bool = False,
    bare: bool = False,
) -> RecoveryReport:
    """End every tree in a folder of records whose owner is dead, and say what became of each.

    A record is acted upon only where it is known whose it is: of this machine, boot and pid
    namespace, its owner dead, its root the very process that was written down.
    Whatever is in doubt is kept, and nobody is touched for it.
    A file that another user may have written is ``untrusted``, and kept; root acts upon the file
    of an ordinary user with that user's rights alone.
    Two recoveries at once end each tree once.

    Args:
        directory: the folder; one that is not there has no records.
        policy: how trees are ended; default ``KillPolicy()``.
        dry_run: only say what would be done.
        bare: whether a record that is a bare number, as another program writes it, may be acted
            upon as well: if a process of our user has that number that is older than the file.

    Returns:
        One outcome for each session, and one more where an untrusted record stands beside an
        intent; a survivor is a value.

    Raises:
        RecordError: the folder cannot be read.
    """
    return threads.run(Recovery(directory, policy, dry_run=dry_run, bare=bare))


async def arecover(
    directory: str | os.PathLike[str],
    *,
    policy: KillPolicy | None = None,
    dry_run: bool = False,
    bare: bool = False,
) -> RecoveryReport:
    """Do what :func:`recover` does, without blocking the event loop.

    Cancelled, it forces at once, finishes, and lets the cancellation through.

    Args:
        directory: as for :func:`recover`.
        policy: as for :func:`recover`.
        dry_run: as for :func:`recover`.
        bare: as for :func:`recover`.

    Returns:
        As :func:`recover`.

    Raises:
        RecordError: as for :func:`recover`.
    """
    return await loops.run(Recovery(directory, policy, dry_run=dry_run, bare=bare))


class Recovery:
    """One call of recover: a work that can be hurried."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        policy: KillPolicy | None = None,
        *,
        dry_run: bool = False,
        bare: bool = False,
    ) -> None:
        """List the records; nothing is looked at yet.

        Raises:
            RecordError: the folder cannot be read.
        """
        self._path = Path(directory).absolute()
        self._dry_run = dry_run
        policy = policy or KillPolicy()
        self._folder = _open(self._path)
        self._cases = Parallel(
            [
                RecordRecovery(path, policy, dry_run=dry_run, bare=bare, folder=self._folder)
                for path in _files_of_sessions(self._folder)
            ],
            AT_ONCE,
        )

    def run(self) -> RecoveryReport:
        """Go through the records."""
        if self._folder is not None and not self._dry_run:
            self._folder.tidy()  # before a kill: should it fail, no outcome is lost
        outcomes = self._cases.run()
        if self._folder is not None:
            self._folder.close()
        return RecoveryReport(
            directory=str(self._path), dry_run=self._dry_run, outcomes=tuple(outcomes)
        )

    def hurry(self) -> None:
        """Let the force begin now."""
        self._cases.hurry()


def _open(path: Path) -> Folder | None:
    """Open a folder; None where there is none.

    Raises:
        RecordError: it cannot be read.
    """
    try:
        return Folder(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(str(path), f"it cannot be read: {error.strerror}") from error


def _files_of_sessions(folder: Folder | None) -> list[Path]:
    """List one file a session: the record, or the intent where there is no record yet.

    An untrusted record hides no intent.

    Raises:
        RecordError: the folder cannot be read.
    """
    if folder is None:
        return []
    try:
        names = entries(folder.names())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RecordError(str(folder.path), f"it cannot be read: {error.strerror}") from error
    recorded = {name.removesuffix(RECORD) for name in names if name.endswith(RECORD)}
    paths = map(folder.path.__truediv__, names)
    return [
        path
        for path in paths
        if path.suffix == RECORD
        or path.stem not in recorded
        or not is_trusted(path.with_suffix(RECORD), folder)
    ]
