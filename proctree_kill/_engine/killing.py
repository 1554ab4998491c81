"""One kill under way: begun, hurried, awaited."""

from __future__ import annotations

import threading

from .._models.policy import KillPolicy
from .._models.result import KillResult
from .._systems import current
from .._systems.member import Member
from . import owners as engine_owners
from . import report
from .driver import Driver
from .events import EventSender, Listener
from .gather import Gathered, gather, refuse_caller
from .owners import CallSoon
from .plan import Escalation
from .steps import Outcome, Way
from .target import Spare, Target, aim, read_markers, sparing


class Hurry:
    """What is to be hurried: the kill that is under way, and any that begins later.

    Attributes:
        wanted: set once it was called.
    """

    def __init__(self) -> None:
        """Begin without any haste."""
        self.wanted = threading.Event()
        self._changing = threading.Lock()
        self._killing: Killing | None = None

    def __call__(self) -> None:
        """Let the force begin, now or as soon as there is somebody to end; from any thread."""
        with self._changing:
            self.wanted.set()
            killing = self._killing
        if killing is not None:
            killing.hurry()

    def kill(self, target: Target, policy: KillPolicy) -> KillResult:
        """End a tree.

        Raises:
            TargetRefusedError: it must not be ended.
        """
        killing = Killing(target, policy)
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
        way: Way = "stop",
        call_soon: CallSoon | None = None,
    ) -> None:
        """Check the arguments; nothing is looked at yet.

        Args:
            target: what to end.
            policy: how.
            marker: as for ``kill_tree``.
            spare: as for ``kill_tree``.
            listener: called with each event.
            way: how far to go.
            call_soon: of the event loop that owns a process of the target, if one does.
        """
        if listener is not None and not callable(listener):
            text = f"on_event must be callable, not {listener!r}"
            raise TypeError(text)
        self._aim = aim(target)
        self._policy = policy
        self._markers = read_markers(self._aim.markers, marker)
        self._listener = listener
        self._way = way
        self._system = current(policy.helper_timeout)
        try:
            self._spared = sparing(spare)
        except BaseException:
            self._system.close()
            raise
        self._interruption: BaseException | None = None
        self._ending = threading.Lock()
        self._ended = False
        self._start = self._system.now()
        self._deadline = self._start + policy.grace + policy.settle
        self._call_soon = call_soon

    def run(self) -> KillResult:
        """Gather the tree, run the escalation, report."""
        system = self._system
        try:
            gathered = gather(
                system,
                self._aim,
                self._spared,
                self._markers,
                include_root=self._policy.include_root,
                deadline=self._deadline,
            )
            refuse_caller(gathered)
            gathered.tree.spared = self._spared and self._ask_spared
            doomed = {one.pid for one in gathered.tree.members if one.spared is None}
            owners = [one.owner for one in self._aim.claims if one.pid in doomed]
            close_inputs = engine_owners.input_closer(owners, self._call_soon)
            escalation = Escalation(
                self._policy,
                gathered.tree.members,
                self._start,
                holds_input=close_inputs is not None,
                can_ask=system.polite,
                can_kill_cells=self._can_kill_cells(gathered),
                can_insist=system.insists,
                force_code=system.force_code,
                sure=gathered.tree.sure,
            )
            teller = EventSender(self._listener, escalation, self._interrupt)
            driver = Driver(escalation, gathered.tree, teller, close_inputs)
            outcomes = driver.run(self._way)
            if self._is_over(outcomes):
                for call in self._aim.ended:
                    call(gathered.tree.proved)
        finally:
            with self._ending:
                self._ended = True
                system.close()
        claims = self._aim.claims
        engine_owners.poll_all(claims)  # now, for it may need the descriptors that were closed
        teller.settled(system.now())
        if self._interruption is not None:
            raise self._interruption
        result = report.result(gathered, outcomes, system.now() - self._start)
        return engine_owners.with_codes(result, claims)

    async def settle(self, result: KillResult) -> KillResult:
        """Await the owners that only an event loop may ask; add the exit codes that they know."""
        return await engine_owners.settle(result, self._aim.claims, self._deadline)

    def _ask_spared(self, member: Member) -> str | None:
        """Ask the predicate about a process found on the way; what it raises waits for the end."""
        assert self._spared is not None  # noqa: S101 - called in its place
        try:
            return self._spared(member)
        except Exception:
            raise  # the tree logs it, and spares the process
        except BaseException as error:  # noqa: BLE001 - raised when the tree has ended
            self._interrupt(error)
            return "the predicate raised"

    def _interrupt(self, error: BaseException) -> None:
        """Force at once, and raise this when the tree has ended."""
        self._interruption = self._interruption or error
        self.hurry()

    def _can_kill_cells(self, gathered: Gathered) -> bool:
        """Tell whether everybody whom the kernel keeps together may die."""
        tree = gathered.tree
        spared = self._spared or tree.holds_bystander or any(one.spared for one in tree.members)
        return bool(self._aim.cells) and self._policy.include_root and not spared

    def _is_over(self, outcomes: list[Outcome]) -> bool:
        """Tell whether the whole tree was to be ended, and everybody who was found is dead."""
        whole = self._way == "stop" and self._policy.include_root
        return whole and all(one.fate in engine_owners.ENDED for one in outcomes)

    def hurry(self) -> None:
        """Let the force begin now; nothing, once it is over."""
        with self._ending:
            if not self._ended:
                self._system.hurry()
