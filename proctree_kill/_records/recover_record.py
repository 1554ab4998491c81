"""One record acted upon: its tree is ended, or left alone, and the file dropped or kept."""

from __future__ import annotations

import time
from pathlib import Path

from .._engine.gather import gather, refuse_caller
from .._engine.killing import Hurry
from .._engine.presence import Presence
from .._engine.target import Target, aim
from .._models.errors import TargetRefusedError
from .._models.policy import KillPolicy
from .._models.result import Fate, KillResult
from .._systems import current
from .._systems.member import ALIVE
from .._systems.scarcity import SCARCE, retry
from .assessment import Assessment, assess, assess_bare
from .files import may_exist
from .format import (
    PREFIX,
    Bare,
    Entry,
    Intent,
    Record,
    UnreadableError,
    id_of,
    intent_path,
    parse,
    record_path,
)
from .recording import forget
from .report import RecordFate, RecordOutcome
from .trusted_files import Folder, Opened, UntrustedError

DROPPED = {RecordFate.ENDED, RecordFate.GONE, RecordFate.RECYCLED}
"""The fates with which the file is removed."""
RECORD_POLL = 0.01
"""Seconds between two looks for the record of a tree that is just being started."""
FORK_TIME = 0.1
"""Seconds within which a fork becomes its program and carries the marker."""


class RecordRecovery:
    """One record or intent, looked at and acted upon; a work that can be hurried."""

    def __init__(
        self,
        path: Path,
        policy: KillPolicy,
        *,
        dry_run: bool = False,
        bare: bool = False,
        owned: bool = False,
        hurry: Hurry | None = None,
        folder: Folder | None = None,
    ) -> None:
        """Prepare; nothing is looked at yet.

        Args:
            path: the file.
            policy: how a tree is ended.
            dry_run: whether to touch no process and to remove no file.
            bare: whether the bare number of another program may be acted upon.
            owned: whether the tree is ended though its owner lives.
            hurry: what hurries it; default one of its own.
            folder: its folder, where that is open already.
        """
        self._path = path
        self._folder = folder
        self._policy = policy
        self._dry_run = dry_run
        self._bare = bare
        self._owned = owned
        self._entry: Entry | None = None
        self._has_begun = False  # to end the tree
        self._hurry = hurry or Hurry()

    def hurry(self) -> None:
        """Begin the force now."""
        self._hurry()

    def run(self) -> RecordOutcome:
        """Look, act, and drop the file where nothing of its tree is left.

        While that lacks descriptors or memory it is tried again, for as long as a kill may take.
        A tree that a living owner is just starting is ended once its record is there.
        """
        until = time.monotonic() + self._policy.grace + self._policy.settle
        while True:
            try:
                outcome = retry(self._look, until - time.monotonic())
            except OSError as error:
                fate = RecordFate.SURVIVED if self._has_begun else RecordFate.UNREADABLE
                return self._outcome(fate, error.strerror or str(error))
            if not self._is_starting(outcome) or time.monotonic() >= until:
                return outcome
            time.sleep(RECORD_POLL)
            record = record_path(self._path.parent, id_of(self._path))
            self._path = record if may_exist(record) else intent_path(record)

    def _is_starting(self, outcome: RecordOutcome) -> bool:
        """Whether the file is an intent, and its owner lives and is to be ended all the same."""
        starting = isinstance(self._entry, Intent) and not isinstance(self._entry, Record)
        return self._owned and starting and outcome.fate is RecordFate.OWNED

    def _look(self) -> RecordOutcome:
        try:
            opened = Opened(self._path, self._folder)
        except FileNotFoundError:
            return self._outcome(RecordFate.GONE, "it was removed just now")
        except UntrustedError as error:
            return self._outcome(RecordFate.UNTRUSTED, str(error))
        except OSError as error:
            if error.errno in SCARCE:
                raise
            return self._outcome(RecordFate.UNREADABLE, str(error.strerror or error))
        with opened:
            if opened.untrusted is not None:
                return self._outcome(RecordFate.UNTRUSTED, opened.untrusted)
            return self._act(opened)

    def _act(self, opened: Opened) -> RecordOutcome:
        """Do with the file and its tree what the file allows."""
        assessment = self._assess(opened)
        fate, target = assessment.fate, assessment.target
        if fate is not None and fate not in DROPPED:
            return self._outcome(fate, assessment.detail, assessment)
        if not (self._dry_run or opened.lock()):
            return self._outcome(RecordFate.OWNED, "another recovery ends it now", assessment)
        if target is None:
            outcome = self._outcome(fate or RecordFate.GONE, assessment.detail, assessment)
        else:
            act = self._foresee if self._dry_run else self._end
            outcome = act(target, assessment)
        if outcome.fate in DROPPED and not self._dry_run:
            return self._drop(opened, outcome)
        return outcome

    def _assess(self, opened: Opened) -> Assessment:
        try:
            entry = self._entry = parse(self._path, opened.data)
            if not isinstance(entry, Bare):
                return assess(entry, owned=self._owned, writer=opened.writer, uid=opened.uid)
        except UnreadableError as error:
            return Assessment(RecordFate.UNREADABLE, str(error))
        if opened.uid is not None:
            return Assessment(RecordFate.BARE, "another program of another user wrote it")
        if not self._bare:
            return Assessment(RecordFate.BARE, "another program wrote it")
        return assess_bare(entry.pid, opened.written)

    def _foresee(self, target: Target, assessment: Assessment) -> RecordOutcome:
        """Return what :meth:`_end` would."""
        try:
            with current() as system:
                gathered = gather(system, aim(target), include_root=self._policy.include_root)
                refuse_caller(gathered)
        except TargetRefusedError as error:
            return self._refused(str(error), assessment)
        members = gathered.tree.members
        found = any(member.state == ALIVE and member.spared is None for member in members)
        fate = RecordFate.ENDED if found else assessment.fate_if_empty
        return self._outcome(fate, assessment.new_owner or assessment.detail, assessment)

    def _end(self, target: Target, assessment: Assessment) -> RecordOutcome:
        self._has_begun = True
        try:
            kill = self._hurry.kill(target, self._policy)
            if not (_found(kill) or isinstance(self._entry, Record | Bare)):
                # A process that was just forked shows its parent's environment until it becomes
                # its program, and the parent may have died in between.
                self._hurry.wanted.wait(FORK_TIME)
                kill = self._hurry.kill(target, self._policy)
        except TargetRefusedError as error:
            return self._refused(str(error), assessment)
        if not kill.ok:
            fate = RecordFate.SURVIVED
        else:
            fate = RecordFate.ENDED if _found(kill) else assessment.fate_if_empty
        return self._outcome(fate, assessment.new_owner or assessment.detail, assessment, kill)

    def _refused(self, reason: str, assessment: Assessment) -> RecordOutcome:
        fate = RecordFate.BARE if isinstance(self._entry, Bare) else RecordFate.OWNED
        return self._outcome(fate, reason, assessment)

    def _drop(self, opened: Opened, outcome: RecordOutcome) -> RecordOutcome:
        """Remove the file, and the intent that a crash left beside a record."""
        try:
            opened.remove()
            if isinstance(self._entry, Record):
                forget(intent_path(self._path), self._entry.marker, self._folder)
        except OSError as error:
            detail = f"{outcome.detail or 'done'}; the file cannot be removed: {error.strerror}"
            return outcome.model_copy(update={"detail": detail})
        return outcome

    def _outcome(
        self,
        fate: RecordFate,
        detail: str | None = None,
        assessment: Assessment | None = None,
        kill: KillResult | None = None,
    ) -> RecordOutcome:
        entry = self._entry
        ours = entry if isinstance(entry, Intent) else None
        pid = alive = None
        if isinstance(entry, Record | Bare):
            pid = entry.identity.pid if isinstance(entry, Record) else entry.pid
            if assessment is not None and fate is not RecordFate.FOREIGN:
                alive = assessment.root.presence is Presence.LIVES
        return RecordOutcome(
            session_id=self._path.stem.removeprefix(PREFIX),
            fate=fate,
            path=str(self._path),
            tool=None if ours is None else ours.tool,
            pid=pid,
            owner=None if ours is None else ours.owner.pid,
            created_at=None if ours is None else ours.created_at,
            alive=alive,
            detail=detail,
            kill=kill,
        )


def _found(kill: KillResult) -> bool:
    """Whether there was a process to end."""
    untouched = (Fate.ALREADY_GONE, Fate.SPARED)
    return any(outcome.fate not in untouched for outcome in kill.outcomes)
