"""Ending what a dead owner left behind: recover, arecover."""

from __future__ import annotations

import os
from pathlib import Path

from .._models.errors import RecordError
from .._models.policy import KillPolicy, policy_or_default
from .._running import loops, threads
from .._running.threads import Parallel
from .files import absolute
from .format import RECORD, entries
from .recover_record import RecordRecovery
from .report import RecoveryReport
from .trusted_files import Folder, is_trusted

TREES_AT_ONCE = 32
"""How many trees are ended at the same time; each needs a thread and a look at all processes."""


def recover(
    directory: str | os.PathLike[str],
    *,
    policy: KillPolicy | None = None,
    dry_run: bool = False,
    bare: bool = False,
) -> RecoveryReport:
    """End every tree in a folder of records whose owner is dead, and report on each.

    A record is acted upon only where it is known whose it is: of this machine, boot and pid
    namespace, its owner dead, its root the very process that was written down.
    Whatever is in doubt is kept, and its processes are not touched.
    A file that another user may have written is ``untrusted``, and kept; root acts upon the file
    of an ordinary user with that user's rights alone.
    Two recoveries at once end each tree once.

    Args:
        directory: the folder; one that does not exist has no records.
        policy: how trees are ended; default ``KillPolicy()``.
        dry_run: only report what would be done; default False.
        bare: whether a record that is a bare number, as another program writes it, may be acted
            upon as well (default False): if a process of our user has that number and is older
            than the file.

    Returns:
        One outcome for each session, and one more where an untrusted record stands beside an
        intent; a survivor is a value.

    Raises:
        RecordError: the folder cannot be read.
        TypeError, ValueError: an argument is wrong; nothing was touched.
    """
    return threads.run(Recovery(directory, policy, dry_run=dry_run, bare=bare))


async def arecover(
    directory: str | os.PathLike[str],
    *,
    policy: KillPolicy | None = None,
    dry_run: bool = False,
    bare: bool = False,
) -> RecoveryReport:
    """Like :func:`recover`, awaited.

    Cancelled, it forces at once, finishes, and lets the cancellation through.
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
            TypeError, ValueError: an argument is wrong.
        """
        self._path = absolute("directory", directory)
        policy = policy_or_default(policy)
        check_choices(dry_run=dry_run, bare=bare)
        self._dry_run = dry_run
        self._folder, paths = _open(self._path)
        self._recoveries = Parallel(
            [
                RecordRecovery(path, policy, dry_run=dry_run, bare=bare, folder=self._folder)
                for path in paths
            ],
            TREES_AT_ONCE,
        )

    def run(self) -> RecoveryReport:
        """Recover each record."""
        if self._folder is not None and not self._dry_run:
            self._folder.tidy()  # before a kill: should it fail, no outcome is lost
        outcomes = self._recoveries.run()
        if self._folder is not None:
            self._folder.close()
        return RecoveryReport(
            directory=str(self._path), dry_run=self._dry_run, outcomes=tuple(outcomes)
        )

    def hurry(self) -> None:
        """Begin the force now."""
        self._recoveries.hurry()


def check_choices(**choices: object) -> None:
    """Check options that are true or false.

    Raises:
        TypeError: a value is neither.
    """
    for name, value in choices.items():
        if not isinstance(value, bool):  # bare="no" must end no process
            text = f"{name} is {value!r}, expected True or False"
            raise TypeError(text)


def _open(path: Path) -> tuple[Folder | None, list[Path]]:
    """Open a folder, and list one file a session: its record, else its intent.

    An untrusted record hides no intent.

    Raises:
        RecordError: the folder cannot be read.
    """
    try:
        folder = Folder(path)
        names = entries(folder.names())
    except FileNotFoundError:
        return None, []
    except OSError as error:
        raise RecordError(str(path), f"it cannot be read: {error.strerror}") from error
    recorded = {name.removesuffix(RECORD) for name in names if name.endswith(RECORD)}
    paths = [path / name for name in names]
    return folder, [
        path
        for path in paths
        if path.suffix == RECORD
        or path.stem not in recorded
        or not is_trusted(path.with_suffix(RECORD), folder)
    ]
