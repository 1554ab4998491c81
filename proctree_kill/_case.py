"""One record: whose it is, whether it may be acted upon, and what then becomes of it."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from ._containment import Containment
from ._files import Opened
from ._findings import RecordFate, RecordOutcome
from ._hurry import Errand, Hurry
from ._identity import identity_of
from ._kill import snapshot_tree
from ._models import Fate, KillResult
from ._platform import current
from ._platform._machine import machine_id, pid_namespace
from ._policy import KillPolicy
from ._recording import forget
from ._records import (
    PREFIX,
    Bare,
    Intent,
    Paper,
    Record,
    UnreadableError,
    intent_path,
    parse,
)
from ._standing import Look, Standing, look
from ._target import Target
from .errors import TargetRefusedError

DROPPED = {RecordFate.REAPED, RecordFate.GONE, RecordFate.RECYCLED}
"""What is not kept."""
MOMENT = 0.1
"""Seconds within which a fork becomes its program and carries the marker."""
GRAIN = 0.02
"""Seconds by which a start may seem late: it is told in clock ticks, rounded twice."""


class Judgement(NamedTuple):
    """What is to be done with a paper: keep or drop it, or end its target."""

    fate: RecordFate | None = None
    detail: str | None = None
    target: Target | None = None
    root: Look = Look(Standing.DEAD)


class Case(Errand):
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
    ) -> None:
        """Say which file, and what is allowed.

        Args:
            path: the file.
            policy: how a tree is ended.
            dry_run: whether to touch nobody and to remove nothing.
            bare: whether the bare number of another program may be acted upon.
            owned: whether it is ended though its owner lives.
            hurry: what is to be hurried; default one of its own.
        """
        self._path = path
        self._policy = policy
        self._dry_run = dry_run
        self._bare = bare
        self._owned = owned
        self._paper: Paper | None = None
        self._hurry = hurry or Hurry()

    def hurry(self) -> None:
        """Let the force begin now."""
        self._hurry()

    def run(self) -> RecordOutcome:
        """Look, act, and drop the file where nothing of its tree is left."""
        try:
            opened = Opened(self._path)
        except FileNotFoundError:
            return self._outcome(RecordFate.GONE, "somebody removed it just now")
        except OSError as error:
            return self._outcome(RecordFate.UNREADABLE, str(error.strerror or error))
        with opened:
            judged = self._judge(opened)
            if judged.fate not in (None, *DROPPED):
                return self._outcome(judged.fate or RecordFate.UNREADABLE, judged.detail, judged)
            if self._dry_run:
                return self._foresee(judged)
            if not opened.lock():
                return self._outcome(RecordFate.OWNED, "another recovery ends it now", judged)
            done = self._act(judged)
            return self._drop(opened, done) if done.fate in DROPPED else done

    def _judge(self, opened: Opened) -> Judgement:
        """Say what is to be done, without doing it."""
        try:
            paper = self._paper = parse(self._path, opened.data)
        except UnreadableError as error:
            return Judgement(RecordFate.UNREADABLE, str(error))
        if isinstance(paper, Bare):
            return (
                _judge_bare(paper.pid, opened.written)
                if self._bare
                else Judgement(RecordFate.BARE, "another program wrote it")
            )
        return _place(paper) or self._judge_ours(paper)

    def _judge_ours(self, paper: Intent) -> Judgement:
        """Judge a paper of this machine, boot and pid namespace."""
        root = look(paper.identity) if isinstance(paper, Record) else Look(Standing.DEAD)
        owner = look(paper.owner)
        if not self._owned and owner.standing in (Standing.LIVES, Standing.UNKNOWN):
            return Judgement(RecordFate.OWNED, root=root)
        if root.standing is Standing.UNKNOWN:
            detail = "it cannot be known whether its number still means the same process"
            return Judgement(RecordFate.UNREADABLE, detail, root=root)
        identity = paper.identity if isinstance(paper, Record) else None
        return Judgement(target=Containment.recall(paper.marker, identity), root=root)

    def _foresee(self, judged: Judgement) -> RecordOutcome:
        """Say what would become of it."""
        if judged.target is None:
            return self._outcome(judged.fate or RecordFate.GONE, judged.detail, judged)
        snapshot = snapshot_tree(judged.target)
        if snapshot.refusal is not None:
            return self._refused(snapshot.refusal, judged)
        fate = RecordFate.REAPED if snapshot.members else _empty(judged)
        return self._outcome(fate, _stranger(judged), judged)

    def _act(self, judged: Judgement) -> RecordOutcome:
        """End the target, if there is one."""
        if judged.target is None:
            return self._outcome(judged.fate or RecordFate.GONE, judged.detail, judged)
        try:
            kill = self._end(judged.target)
        except TargetRefusedError as error:
            return self._refused(str(error), judged)
        if not kill.ok:
            fate = RecordFate.SURVIVED
        else:
            fate = RecordFate.REAPED if _touched(kill) else _empty(judged)
        return self._outcome(fate, _stranger(judged), judged, kill)

    def _end(self, target: Target) -> KillResult:
        """End a tree; one that was about to start is looked for twice.

        A process that was just forked has the environment of its parent until it becomes its
        program, and a parent may die in between.
        """
        kill = self._hurry.kill(target, self._policy)
        if _touched(kill) or isinstance(self._paper, Record | Bare):
            return kill
        self._hurry.wanted.wait(MOMENT)
        return self._hurry.kill(target, self._policy)

    def _refused(self, reason: str, judged: Judgement) -> RecordOutcome:
        """Leave alone what must not be ended."""
        fate = RecordFate.BARE if isinstance(self._paper, Bare) else RecordFate.OWNED
        return self._outcome(fate, reason, judged)

    def _drop(self, opened: Opened, outcome: RecordOutcome) -> RecordOutcome:
        """Remove the file, and the intent that a crash left beside a record."""
        try:
            opened.remove()
            if isinstance(self._paper, Record):
                forget(intent_path(self._path), self._paper.marker)
        except OSError as error:
            detail = f"{outcome.detail or 'done'}; the file cannot be removed: {error.strerror}"
            return outcome.model_copy(update={"detail": detail})
        return outcome

    def _outcome(
        self,
        fate: RecordFate,
        detail: str | None = None,
        judged: Judgement | None = None,
        kill: KillResult | None = None,
    ) -> RecordOutcome:
        """Say what became of it."""
        paper = self._paper
        ours = paper if isinstance(paper, Intent) else None
        record = paper if isinstance(paper, Record | Bare) else None
        number = record.identity.pid if isinstance(record, Record) else record and record.pid
        known = judged is not None and record is not None and fate is not RecordFate.FOREIGN
        return RecordOutcome(
            session_id=self._path.stem.removeprefix(PREFIX),
            fate=fate,
            path=str(self._path),
            tool=None if ours is None else ours.tool,
            pid=number,
            owner=None if ours is None else ours.owner.pid,
            created_at=None if ours is None else ours.created_at,
            alive=judged.root.standing is Standing.LIVES if judged and known else None,
            detail=detail,
            kill=kill,
        )


def _place(paper: Intent) -> Judgement | None:
    """Say where a paper belongs that is not of this machine, boot and pid namespace."""
    with closing(current()) as system:
        boot = system.boot_id
    known = None not in (paper.machine_id, machine_id())
    same_boot = paper.owner.boot_id == boot
    if known and paper.machine_id != machine_id():
        return Judgement(RecordFate.FOREIGN, "it is of another machine")
    if not known and (boot is None or not same_boot):
        return Judgement(RecordFate.FOREIGN, "it cannot be known whether it is of this machine")
    if not same_boot:
        return Judgement(RecordFate.GONE, "it is of an earlier boot")
    if paper.pid_namespace != pid_namespace():
        return Judgement(RecordFate.FOREIGN, "it is of another pid namespace")
    return None


def _judge_bare(pid: int, written: float) -> Judgement:
    """Judge a number that is all there is: a process that is older than the file, and is ours."""
    with closing(current()) as system:
        member = system.bind(pid)
        if member is None:
            return Judgement(RecordFate.GONE)
        identity = identity_of(member, system.boot_id)
        shown, ourselves = system.show(member), _our_user()
    root = Look(Standing.LIVES, member.name)
    if shown.seconds is None or shown.user is None or shown.user != ourselves:
        detail = f"{member.name or 'its process'} is not known to be of our user"
        return Judgement(RecordFate.BARE, detail, root=root)
    if time.time() - shown.seconds > written + GRAIN:
        return Judgement(RecordFate.RECYCLED, _belongs_to(member.name))
    return Judgement(target=identity, root=root)


def _our_user() -> str | None:
    """Return in whose name we act."""
    with closing(current()) as system:
        member = system.bind(os.getpid())
        return None if member is None else system.show(member).user


def _touched(kill: KillResult) -> bool:
    """Tell whether somebody was there to be ended."""
    return any(one.fate is not Fate.ALREADY_GONE for one in kill.outcomes)


def _empty(judged: Judgement) -> RecordFate:
    """Say what a tree is of which nobody was found."""
    recycled = judged.root.standing is Standing.RECYCLED
    return RecordFate.RECYCLED if recycled else RecordFate.GONE


def _stranger(judged: Judgement) -> str | None:
    """Say who has the number of a root by now."""
    recycled = judged.root.standing is Standing.RECYCLED
    return _belongs_to(judged.root.name) if recycled else None


def _belongs_to(name: str | None) -> str:
    """Name a new owner of a number."""
    return f"its number belongs to {name or 'another process'} now, which was not touched"
