"""Running the plan over a system: the only loop that acts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from .._systems.contract import Reply, System
from .._systems.member import Member
from .events import EventSender
from .plan import Escalation
from .scan import scan
from .steps import (
    Ask,
    CloseInput,
    Facts,
    Freeze,
    Insist,
    Inspect,
    Kill,
    KillCells,
    Outcome,
    ProveStop,
    Rescan,
    Step,
    Wait,
    Way,
)
from .tree import Tree

_T = TypeVar("_T")

END_SIGNALS = {"cgroup": "SIGKILL", "job": "TerminateProcess"}
"""What the kernel does to everybody in a cell, by its kind."""
NOTICE, LOOK = 0.1, 0.001
"""Seconds that parents have to notice a stopped child, and between two looks at them."""


class Driver:
    """One plan, one system, one tree."""

    def __init__(
        self,
        escalation: Escalation,
        system: System,
        tree: Tree,
        teller: EventSender,
        close_input: Callable[[], None] | None,
    ) -> None:
        """Begin before the first step."""
        self._escalation = escalation
        self._system = system
        self._tree = tree
        self._teller = teller
        self._close_input = close_input
        self._frozen: list[Member] = []
        self._outside: list[Member] | None = None

    def run(self, way: Way = "stop") -> list[Outcome]:
        """Run the plan to its end; whatever goes wrong, nobody is left stopped."""
        steps = self._escalation.steps(way)
        try:
            step = next(steps)
            while True:
                self._teller.before(step)
                facts = self._patiently(partial(self._facts, step))
                self._teller.after(step, facts, frozen=bool(self._frozen))
                step = steps.send(facts)
        except StopIteration as end:
            outcomes: list[Outcome] = end.value
            return outcomes
        finally:
            self._patiently(lambda: self._system.release(self._frozen))
            self._patiently(self._continue_parents)

    def _patiently(self, act: Callable[[], _T]) -> _T:
        """Act; where a call fails, again until the deadline: descriptors and memory come back.

        Before the first step nothing was touched, and an error is raised at once; here an error
        would leave a tree that was asked, or killed in part.
        """
        policy = self._escalation.policy
        deadline = self._escalation.start + policy.grace + policy.settle
        while True:
            try:
                return act()
            except OSError:
                if self._system.now() >= deadline:
                    raise
            with contextlib.suppress(OSError):
                self._system.wait([], self._system.now() + LOOK)

    def _facts(self, step: Step) -> Facts:
        """Do one step."""
        reply = Reply([], [])
        appeared: Iterable[Member] = ()
        match step:
            case CloseInput():
                if self._close_input is not None:
                    self._close_input()
            case Wait(members, until):
                reply = Reply(self._system.wait(members, until), [])
            case ProveStop(members, until):
                self._system.prove_stopped(members, until)
            case Rescan(light):
                appeared = scan(self._tree, light=light)
            case Inspect(members):
                self._system.inspect(members)
            case _:
                reply = self._act(step)
        return Facts(
            self._system.now(),
            reply.gone,
            reply.denied,
            appeared,
            hurry=self._system.hurried,
            sure=self._tree.sure,
        )

    def _act(self, step: Ask | Freeze | Kill | KillCells | Insist) -> Reply:
        """Do to members what the step says."""
        match step:
            case Ask(members, until):
                return self._ask(members, until)
            case Freeze(members):
                return self._freeze(members)
            case Kill(members):
                return self._kill(members)
            case KillCells(members):
                return self._end(members)
            case Insist(members, until):
                return self._system.insist(members, until)

    def _ask(self, members: list[Member], until: float) -> Reply:
        """Ask members; where that fails in the middle the rest is asked, and none twice."""
        members, foreign = self._tree.split_by_user(members)
        sent = [(one, len(one.signals)) for one in members]
        reply = self._patiently(
            lambda: self._system.ask(
                [one for one, count in sent if len(one.signals) == count], until
            )
        )
        return Reply(reply.gone, [*reply.denied, *foreign])

    def _freeze(self, members: list[Member]) -> Reply:
        """Stop members, and remember who outside the tree could stop with them."""
        self._watch_parents()
        members, foreign = self._tree.split_by_user(members)
        self._frozen += members  # before the signals: whatever happens, they are continued
        reply = self._system.freeze(members, self._groups())
        missed = {*reply.gone, *reply.denied}
        self._frozen = [one for one in self._frozen if one not in missed]
        return Reply(reply.gone, [*reply.denied, *foreign])

    def _kill(self, members: list[Member]) -> Reply:
        """Kill members; the killed need no continuing."""
        self._let_parents_notice()
        members, foreign = self._tree.split_by_user(members)  # the frozen cannot change any more
        reply = self._system.kill(members, self._groups())
        refused = {*reply.denied, *foreign}
        self._frozen = [one for one in self._frozen if one in refused]
        return Reply(reply.gone, [*reply.denied, *foreign])

    def _end(self, members: list[Member]) -> Reply:
        """Have the kernel kill everybody in the cells; all are refused where it does not."""
        taken = [cell.kill() for cell in self._tree.cells]
        if not all(taken):
            return Reply([], members)
        names = [END_SIGNALS[cell.kind] for cell in self._tree.cells]
        for one in members:
            one.signals.append(names[0])
        return Reply([], [])

    def _watch_parents(self) -> None:
        """Note the parents that stay and run, before anybody is stopped."""
        if self._outside is None:
            doomed = [one for one in self._tree.members if one.spared is None]
            ours = {one.pid for one in doomed} | {None, 0, 1, os.getpid()}
            numbers = {one.ppid for one in doomed} - ours
            found = [self._system.bind(pid) for pid in numbers if pid is not None]
            self._outside = [one for one in found if one and not one.stopped]

    def _let_parents_notice(self) -> None:
        """Wait a moment until the parents that stay know that a child was stopped.

        A parent that hears of the stop after the death, or never, for one SIGCHLD swallows the
        other, stops itself unseen or waits for ever: script(1) did so in 2 of 100.
        """
        parents = {one.pid for one in self._outside or ()}
        children = [one for one in self._frozen if one.ppid in parents]
        until = self._system.now() + NOTICE
        while children and self._system.now() < until and any(map(self._system.unaware, parents)):
            self._system.wait([], self._system.now() + LOOK)

    def _continue_parents(self) -> None:
        """Continue parents that stopped because their child was: su, sudo and script do so."""
        stopped = [one for one in self._outside or () if self._system.stopped(one.pid)]
        self._system.release(stopped)

    def _groups(self) -> list[Member]:
        """Return the roots whose whole session may die: their groups may be signalled at once."""
        if self._tree.spared is not None or self._tree.uid is not None:
            return []
        ours = self._system.session(os.getpid())
        included = set(self._tree.members)
        return [
            one
            for one in self._tree.roots
            if one.sid == one.pid and one in included and one.pid != ours
        ]
