"""One kill under way: begun, hurried, awaited."""

from __future__ import annotations

import threading

from .._models.policy import KillPolicy
from .._models.result import FORCE, KillResult
from .._models.usage import Usage
from .._systems import current
from .._systems.member import ZOMBIE
from . import owners as engine_owners
from . import report, usage
from .driver import Driver
from .events import LISTENER, EventSender, Listener
from .gather import Gathered, gather, refuse_caller
from .owners import CallSoon
from .plan import Escalation
from .shutdown import ShutdownHook
from .spare import Spare
from .steps import Outcome, Way
from .target import Target, aim
from .tree import Tree


class Hurry:
    """Hurries the kill that is under way, and any that begins later.

    Attributes:
        wanted: set once it was called.
    """

    def __init__(self) -> None:
        """Begin without a kill."""
        self.wanted = threading.Event()
        self._changing = threading.Lock()
        self._killing: Killing | None = None

    def __call__(self) -> None:
        """Let the force begin, now or as soon as there is a kill; from any thread."""
        with self._changing:
            self.wanted.set()
            killing = self._killing
        if killing is not None:
            killing.hurry()

    def kill(
        self,
        target: Target,
        policy: KillPolicy,
        spare: Spare | None = None,
        hook: ShutdownHook | None = None,
    ) -> KillResult:
        """End a tree.

        Raises:
            TargetRefusedError: it must not be ended.
        """
        killing = Killing(target, policy, spare=spare, hook=hook)
        with self._changing:
            self._killing = killing
            wanted = self.wanted.is_set()
        if wanted:
            killing.hurry()
        return killing.run()


class Killing:
    """One call of kill_tree: what was asked for, and the run that does it."""

    def __init__(
        self,
        target: Target,
        policy: KillPolicy,
        marker: str | None = None,
        spare: Spare | None = None,
        listener: Listener | None = None,
        *,
        hook: ShutdownHook | None = None,
        way: Way = "stop",
        call_soon: CallSoon | None = None,
    ) -> None:
        """Check the arguments, those of ``kill_tree``; no process is looked at yet.

        Args:
            target: what to end.
            policy: how to end it.
            marker: of more processes that belong to it.
            spare: the processes that are not touched.
            listener: called with each event.
            hook: called before any signal.
            way: which part of the escalation is run.
            call_soon: of the event loop that owns a process of the target, if one does.
        """
        if listener is not None and not callable(listener):
            text = f"on_event must be callable, not {listener!r}"
            raise TypeError(text)
        self._aim = aim(target, marker, spare)
        self._policy = policy
        self._listener = listener or LISTENER.get()
        self._hook = hook
        self._way = way
        self._call_soon = call_soon
        self._interruption: BaseException | None = None
        self._ending = threading.Lock()
        self._ended = False
        self._system = current(policy.helper_timeout)
        self._start = self._system.now()
        self._deadline = self._start + policy.grace + policy.settle

    def run(self) -> KillResult:
        """Gather the tree, run the escalation, report."""
        system, claims = self._system, self._aim.claims
        try:
            gathered = gather(
                system,
                self._aim,
                include_root=self._policy.include_root,
                deadline=self._deadline,
            )
            refuse_caller(gathered)
            tree = gathered.tree
            tree.interrupt = self._interrupt
            to_end = {member.pid for member in tree.members if member.spared is None}
            owners = [claim.owner for claim in claims if claim.pid in to_end]
            close_inputs = engine_owners.input_closer(owners, self._call_soon)
            escalation = Escalation(
                self._policy,
                tree.members,
                self._start,
                has_hook=self._hook is not None,
                holds_input=close_inputs is not None,
                can_kill_cells=self._can_kill_cells(tree),
                can_insist=system.insists,
                force_code=system.force_code,
                sure=tree.sure,
            )
            events = EventSender(self._listener, escalation, self._interrupt)
            if self._hook is not None:
                self._hook.woken = self._wake
            outcomes = Driver(escalation, tree, events, close_inputs, self._hook).run(self._way)
            used = self._usage(tree)
            if self._is_over(outcomes):
                for call in self._aim.ended:
                    call(tree.proved)
        finally:
            if self._hook is not None:
                self._hook.close()
            with self._ending:
                self._ended = True
                system.close()
        # now, for it may need the descriptors that were closed
        engine_owners.poll_all(claims, _codes(gathered, outcomes))
        events.settled(system.now())
        if self._interruption is not None:
            raise self._interruption
        problem = None if self._hook is None else self._hook.problem
        result = report.result(gathered, outcomes, system.now() - self._start, problem, used)
        return report.with_reasons(engine_owners.with_codes(result, claims))

    async def settle(self, result: KillResult) -> KillResult:
        """Await the owners that only an event loop may ask; add the exit codes that they know."""
        return await engine_owners.settle(result, self._aim.claims, self._deadline)

    def hurry(self) -> None:
        """Let the force begin now; do nothing once the kill is over."""
        with self._ending:
            if not self._ended:
                self._system.hurry()

    def _wake(self) -> None:
        with self._ending:
            if not self._ended:
                self._system.wake()

    def _interrupt(self, error: BaseException) -> None:
        self._interruption = self._interruption or error  # raised when the tree has ended
        self.hurry()

    def _can_kill_cells(self, tree: Tree) -> bool:
        """Whether every process that the kernel keeps together may die."""
        if self._aim.spared or tree.holds_bystander or not self._policy.include_root:
            return False
        return bool(self._aim.cells) and not any(member.spared for member in tree.members)

    def _usage(self, tree: Tree) -> Usage | None:
        """Return what the tree used; now, for its cells are removed when it is over."""
        dead = [root for root in tree.roots if root.state == ZOMBIE]
        # one that was ended by force was looked at when it was frozen
        self._system.look_again(root for root in dead if not FORCE.intersection(root.signals))
        used = usage.of(tree)
        return used if self._aim.note_usage is None else self._aim.note_usage(used)

    def _is_over(self, outcomes: list[Outcome]) -> bool:
        """Whether the whole tree was to be ended, and every process that was found is dead."""
        whole = self._way == "stop" and self._policy.include_root
        return whole and all(outcome.fate in engine_owners.ENDED for outcome in outcomes)


def _codes(gathered: Gathered, outcomes: list[Outcome]) -> dict[int, int | None]:
    """Return the exit codes of the dead, as far as the system knows them."""
    dead = [outcome.member for outcome in outcomes if outcome.fate in engine_owners.ENDED]
    codes = {member.pid: member.exit_code for member in dead}
    return codes | {missing.claim.pid: None for missing in gathered.missing}
