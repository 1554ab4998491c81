"""One record acted upon: its tree is ended, or left alone, and the file dropped or kept."""

from __future__ import annotations

import time
from pathlib import Path

from .._engine.kill import snapshot_tree
from .._engine.killing import Hurry
from .._engine.process import Presence
from .._engine.target import Target
from .._models.errors import TargetRefusedError
from .._models.policy import KillPolicy
from .._models.result import Fate, KillResult
from .assessment import Assessment, judge, judge_bare
from .format import (
    PREFIX,
    Bare,
    Entry,
    Intent,
    Record,
    UnreadableError,
    intent_path,
    parse,
    record_of,
)
from .recording import forget
from .report import RecordFate, RecordOutcome
from .trusted_files import Folder, Opened, UntrustedError

DROPPED = {RecordFate.REAPED, RecordFate.GONE, RecordFate.RECYCLED}
"""What is not kept."""
LOOK = 0.01
"""Seconds between two looks for the record of a tree that is just being started."""
MOMENT = 0.1
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
        """Say which file, and what is allowed.

        Args:
            path: the file.
            policy: how a tree is ended.
            dry_run: whether to touch nobody and to remove nothing.
            bare: whether the bare number of another program may be acted upon.
            owned: whether it is ended though its owner lives.
            hurry: what is to be hurried; default one of its own.
            folder: its folder, where that is open already.
        """
        self._path = path
        self._folder = folder
        self._policy = policy
        self._dry_run = dry_run
        self._bare = bare
        self._owned = owned
        self._entry: Entry | None = None
        self._hurry = hurry or Hurry()

    def hurry(self) -> None:
        """Let the force begin now."""
        self._hurry()

    def run(self) -> RecordOutcome:
        """Look, act, and drop the file where nothing of its tree is left.

        A tree that a living owner is just starting is ended once its record is there.
        """
        until = time.monotonic() + self._policy.grace + self._policy.settle
        outcome = self._look()
        while self._is_starting(outcome) and time.monotonic() < until:
            time.sleep(LOOK)
            record = record_of(self._path)
            self._path = record if record.exists() else intent_path(record)
            outcome = self._look()
        return outcome

    def _is_starting(self, outcome: RecordOutcome) -> bool:
        """Tell whether it waits for a record: its owner lives, and has not started the tree yet."""
        starting = isinstance(self._entry, Intent) and not isinstance(self._entry, Record)
        return self._owned and starting and outcome.fate is RecordFate.OWNED

    def _look(self) -> RecordOutcome:
        """Look and act, once."""
        try:
            opened = Opened(self._path, self._folder)
        except FileNotFoundError:
            return self._outcome(RecordFate.GONE, "somebody removed it just now")
        except UntrustedError as error:
            return self._outcome(RecordFate.UNTRUSTED, str(error))
        except OSError as error:
            return self._outcome(RecordFate.UNREADABLE, str(error.strerror or error))
        with opened:
            return self._conclude(opened)

    def _conclude(self, opened: Opened) -> RecordOutcome:
        """Act upon a file that was opened, if it may be."""
        if opened.untrusted is not None:
            return self._outcome(RecordFate.UNTRUSTED, opened.untrusted)
        verdict = self._judge(opened)
        if verdict.fate not in (None, *DROPPED):
            return self._outcome(verdict.fate or RecordFate.UNREADABLE, verdict.detail, verdict)
        if self._dry_run:
            return self._foresee(verdict)
        if not opened.lock():
            return self._outcome(RecordFate.OWNED, "another recovery ends it now", verdict)
        done = self._act(verdict)
        return self._drop(opened, done) if done.fate in DROPPED else done

    def _judge(self, opened: Opened) -> Assessment:
        """Say what is to be done, without doing it."""
        try:
            entry = self._entry = parse(self._path, opened.data)
        except UnreadableError as error:
            return Assessment(RecordFate.UNREADABLE, str(error))
        if not isinstance(entry, Bare):
            try:
                return judge(entry, owned=self._owned, writer=opened.writer, uid=opened.uid)
            except OSError as error:  # no descriptor is left to look at its processes
                return Assessment(RecordFate.UNREADABLE, error.strerror)
        if opened.uid is not None:
            return Assessment(RecordFate.BARE, "another program of another user wrote it")
        if not self._bare:
            return Assessment(RecordFate.BARE, "another program wrote it")
        return judge_bare(entry.pid, opened.written)

    def _foresee(self, verdict: Assessment) -> RecordOutcome:
        """Say what would become of it."""
        if verdict.target is None:
            return self._outcome(verdict.fate or RecordFate.GONE, verdict.detail, verdict)
        snapshot = snapshot_tree(verdict.target)
        if snapshot.refusal is not None:
            return self._refused(snapshot.refusal, verdict)
        fate = RecordFate.REAPED if snapshot.members else _empty(verdict)
        return self._outcome(fate, verdict.stranger, verdict)

    def _act(self, verdict: Assessment) -> RecordOutcome:
        """End the target, if there is one."""
        if verdict.target is None:
            return self._outcome(verdict.fate or RecordFate.GONE, verdict.detail, verdict)
        try:
            kill = self._end(verdict.target)
        except TargetRefusedError as error:
            return self._refused(str(error), verdict)
        if not kill.ok:
            fate = RecordFate.SURVIVED
        else:
            fate = RecordFate.REAPED if _touched(kill) else _empty(verdict)
        return self._outcome(fate, verdict.stranger, verdict, kill)

    def _end(self, target: Target) -> KillResult:
        """End a tree; one that was about to start is looked for twice.

        A process that was just forked has the environment of its parent until it becomes its
        program, and a parent may die in between.
        """
        kill = self._hurry.kill(target, self._policy)
        if _touched(kill) or isinstance(self._entry, Record | Bare):
            return kill
        self._hurry.wanted.wait(MOMENT)
        return self._hurry.kill(target, self._policy)

    def _refused(self, reason: str, verdict: Assessment) -> RecordOutcome:
        """Leave alone what must not be ended."""
        fate = RecordFate.BARE if isinstance(self._entry, Bare) else RecordFate.OWNED
        return self._outcome(fate, reason, verdict)

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
        verdict: Assessment | None = None,
        kill: KillResult | None = None,
    ) -> RecordOutcome:
        """Say what became of it."""
        entry = self._entry
        ours = entry if isinstance(entry, Intent) else None
        record = entry if isinstance(entry, Record | Bare) else None
        number = record.identity.pid if isinstance(record, Record) else record and record.pid
        known = verdict is not None and record is not None and fate is not RecordFate.FOREIGN
        return RecordOutcome(
            session_id=self._path.stem.removeprefix(PREFIX),
            fate=fate,
            path=str(self._path),
            tool=None if ours is None else ours.tool,
            pid=number,
            owner=None if ours is None else ours.owner.pid,
            created_at=None if ours is None else ours.created_at,
            alive=verdict.root.presence is Presence.LIVES if verdict and known else None,
            detail=detail,
            kill=kill,
        )


def _touched(kill: KillResult) -> bool:
    """Tell whether somebody was there to be ended."""
    return any(one.fate is not Fate.ALREADY_GONE for one in kill.outcomes)


def _empty(verdict: Assessment) -> RecordFate:
    """Say what a tree is of which nobody was found."""
    return RecordFate.RECYCLED if verdict.recycled else RecordFate.GONE
