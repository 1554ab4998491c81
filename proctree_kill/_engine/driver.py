"""The driver: runs the steps of the plan on a system. Only this loop acts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from .._systems.contract import Reply
from .._systems.member import Member, identity_of
from .events import EventSender
from .plan import Escalation
from .scan import scan
from .shutdown import ShutdownHook
from .steps import (
    AbandonHook,
    Ask,
    CallHook,
    CloseInput,
    Continue,
    Explain,
    Facts,
    FindTrackers,
    Freeze,
    Hold,
    Insist,
    Inspect,
    Kill,
    KillCells,
    Outcome,
    ProveStop,
    ReadResponses,
    Rescan,
    Step,
    Wait,
    Way,
)
from .trackers import is_tracker
from .tree import Tree

_T = TypeVar("_T")

CELL_SIGNALS = {"cgroup": "SIGKILL", "job": "TerminateProcess"}
NOTICE_TIME = 0.1  # seconds, at most, for parents outside the tree to notice a stopped child
POLL = 0.001  # seconds between two reads of their state, and between two tries of a failed call


class Driver:
    """Runs one escalation on one tree."""

    def __init__(
        self,
        escalation: Escalation,
        tree: Tree,
        events: EventSender,
        close_input: Callable[[], None] | None,
        hook: ShutdownHook | None = None,
    ) -> None:
        """Begin before the first step."""
        self._escalation = escalation
        self._tree = tree
        self._system = tree.system
        self._events = events
        self._close_input = close_input
        self._hook = hook
        self._frozen: list[Member] = []
        self._spared: list[Member] = []  # since the last facts
        self._parents: list[Member] | None = None  # outside the tree, running before the freeze

    def run(self, way: Way = "stop") -> list[Outcome]:
        """Run the plan to its end; whatever goes wrong, no process is left stopped."""
        steps = self._escalation.steps(way)
        try:
            step = next(steps)
            while True:
                self._events.before(step)
                facts = self._retry(partial(self._do, step))
                self._events.after(step, facts, frozen=bool(self._frozen))
                step = steps.send(facts)
        except StopIteration as end:
            outcomes: list[Outcome] = end.value
            return outcomes
        finally:
            self._retry(lambda: self._system.release(self._frozen))
            self._retry(self._continue_parents)

    def _retry(self, act: Callable[[], _T]) -> _T:
        """Act, and again until the deadline if a call fails: descriptors and memory come back.

        An error would leave a tree that was asked, or killed in part.
        """
        while True:
            try:
                return act()
            except OSError:
                if self._system.now() >= self._tree.deadline:
                    raise
            with contextlib.suppress(OSError):
                self._system.wait([], self._system.now() + POLL)

    def _do(self, step: Step) -> Facts:
        reply = Reply([], [])
        appeared: Iterable[Member] = ()
        match step:
            case CallHook() | AbandonHook():
                self._use_hook(step)
            case CloseInput():
                if self._close_input is not None:
                    self._close_input()
            case Continue(members):
                self._system.release(members)
            case ProveStop(members, until):
                self._system.prove_stopped(members, until)
            case Rescan(light):
                appeared = scan(self._tree, light=light)
            case FindTrackers() | ReadResponses() | Explain() | Inspect():
                self._read(step)
            case _:
                reply = self._act(step)
        spared, self._spared = self._spared, []
        return Facts(
            self._system.now(),
            reply.gone,
            reply.denied,
            appeared,
            hurry=self._system.hurried,
            sure=self._tree.sure,
            asked=reply.asked,
            spared=spared,
            hook=None if self._hook is None else self._hook.state,
        )

    def _read(self, step: FindTrackers | ReadResponses | Explain | Inspect) -> None:
        """Fill in facts about the members."""
        match step:
            case FindTrackers(members):
                for member in members:
                    if arguments := self._system.arguments(member):  # there are none in execve(2)
                        member.is_tracker = is_tracker(arguments)
            case ReadResponses(members, signal):
                self._system.read_responses(members, signal)
            case Explain(members):
                self._system.explain(members)
            case Inspect(members):
                self._system.inspect(members)

    def _use_hook(self, step: CallHook | AbandonHook) -> None:
        if self._hook is None:
            return
        if isinstance(step, AbandonHook):
            self._hook.abandon()
        elif not self._system.hurried:
            self._hook.start()

    def _act(self, step: Wait | Ask | Freeze | Hold | Kill | KillCells | Insist) -> Reply:
        match step:
            case Wait(members, until):
                for member in members:  # for the result: they die meanwhile
                    identity_of(member)
                return Reply(self._system.wait(members, until), [])
            case Ask():
                return self._ask(step)
            case Freeze() | Hold():
                groups = self._groups() if isinstance(step, Freeze) and step.groups else []
                return self._freeze(step.members, groups)
            case Kill(members, groups):
                return self._kill(members, self._groups() if groups else [])
            case KillCells(members):
                return self._kill_cells(members)
            case Insist(members, until):
                return self._system.insist(members, until)

    def _ask(self, step: Ask) -> Reply:
        members, foreign = self._tree.split_by_user(self._not_spared(step.members))
        others, _ = self._tree.split_by_user(step.others)
        self._let_parents_notice()
        # After an error in the middle the next try asks the rest, so that none is asked twice.
        sent = [(member, len(member.signals)) for member in members]
        reply = self._retry(
            lambda: self._system.ask(
                [member for member, count in sent if len(member.signals) == count],
                step.signal,
                step.until,
                others,
            )
        )
        if self._frozen:  # the request continues what was held
            self._frozen = [member for member in self._frozen if member not in members]
            self._continue_parents()
        return reply._replace(denied=[*reply.denied, *foreign])

    def _not_spared(self, members: list[Member]) -> list[Member]:
        """Return the members that a signal may be sent to, whatever they have become.

        What was stopped in the middle of execve(2) runs on, before the death of its parent: the
        kernel may send SIGHUP to its group then.
        """
        if not (spared := self._tree.spare_again(members)):
            return members
        self._spared += spared
        self._system.release([member for member in self._frozen if member.spared is not None])
        self._frozen = [member for member in self._frozen if member.spared is None]
        self._continue_parents()
        return [member for member in members if member.spared is None]

    def _freeze(self, members: list[Member], groups: list[Member]) -> Reply:
        members = self._not_spared(members)
        self._note_parents()
        members, foreign = self._tree.split_by_user(members)
        self._frozen += members  # before the signals: whatever happens, they are continued
        reply = self._system.freeze(members, groups)
        missed = {*reply.gone, *reply.denied}
        self._frozen = [member for member in self._frozen if member not in missed]
        return Reply(reply.gone, [*reply.denied, *foreign])

    def _kill(self, members: list[Member], groups: list[Member]) -> Reply:
        self._let_parents_notice()
        members = self._not_spared(members)
        members, foreign = self._tree.split_by_user(members)  # a frozen process changes no uid
        reply = self._system.kill(members, groups)
        denied = {*reply.denied, *foreign}  # only these must be continued
        self._frozen = [member for member in self._frozen if member in denied]
        return Reply(reply.gone, [*reply.denied, *foreign])

    def _kill_cells(self, members: list[Member]) -> Reply:
        cells = self._tree.aim.cells
        killed = [cell.kill() for cell in cells]
        if not all(killed):
            return Reply([], members)
        for member in members:
            member.signals.append(CELL_SIGNALS[cells[0].kind])
        return Reply([], [])

    def _note_parents(self) -> None:
        """Note the parents outside the tree that run, once, before any process is stopped."""
        if self._parents is None:
            members = [member for member in self._tree.members if member.spared is None]
            inside = {member.pid for member in members} | {None, 0, 1, os.getpid()}
            pids = {member.ppid for member in members} - inside
            found = [self._system.bind(pid) for pid in pids if pid is not None]
            self._parents = [parent for parent in found if parent and not parent.stopped]

    def _let_parents_notice(self) -> None:
        """Wait a moment until the parents outside the tree know that a child was stopped.

        One SIGCHLD can swallow another. A parent that learns of the stop after the death, or
        never, stops itself or waits for ever: script(1) did so in 2 of 100 kills.
        """
        parents = {parent.pid for parent in self._parents or ()}
        children = [member for member in self._frozen if member.ppid in parents]
        until = self._system.now() + NOTICE_TIME
        while (
            children
            and self._system.now() < until
            and any(map(self._system.is_about_to_notice, parents))
        ):
            self._system.wait([], self._system.now() + POLL)

    def _continue_parents(self) -> None:
        """Continue parents that stopped because their child did: su, sudo and script do so."""
        stopped = [parent for parent in self._parents or () if self._system.stopped(parent.pid)]
        self._system.release(stopped)

    def _groups(self) -> list[Member]:
        """Return the roots whose whole session may die: their groups may be signalled at once."""
        if self._tree.aim.spared is not None or self._tree.aim.uid is not None:
            return []
        included = set(self._tree.members)
        if any(member.spared is not None for member in included):  # by a snapshot
            return []
        ours = self._system.session(os.getpid())
        return [
            root
            for root in self._tree.roots
            if root.sid == root.pid and root in included and root.pid != ours
        ]
