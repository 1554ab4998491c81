"""The stop of one session, and what follows the exit of an agent by itself."""

from __future__ import annotations

import logging
import threading
from typing import Any, Literal

from .._engine.killing import Hurry
from .._engine.report import with_reasons
from .._engine.shutdown import ShutdownHook
from .._models.errors import TargetRefusedError
from .._models.result import Fate, KillResult, ProcessOutcome, SurvivorsError
from .._models.tree import Evidence
from .._models.usage import remarks
from .._records.recover_record import RecordRecovery
from .._records.report import RecordFate, RecordOutcome
from .._spawn.popen import TreePopen
from .._systems.scarcity import retry
from .models import SessionState, StopMethod, StopResult, TimeoutReason
from .registry import Registry
from .session import ManagedSession, OngoingStop

_log = logging.getLogger("proctree_kill")

_MESSAGES: dict[StopMethod, str] = {
    "shutdown": "it exited because of its shutdown hook",
    "closed_stdin": "it exited when its standard input was closed",
    "terminated": "it exited when it was asked",
    "killed": "it was ended by force",
    "recovered_record": "its record led to it, and it was ended",
    "nothing_to_stop": "no process was left",
}


class SessionStop:
    """The stop of a session; a second one hurries the first and waits for it."""

    def __init__(
        self,
        session: ManagedSession,
        registry: Registry,
        success: Literal[SessionState.STOPPED, SessionState.EXITED] = SessionState.STOPPED,
    ) -> None:
        """Take the session, and its state after success; nothing is done yet."""
        self._session = session
        self._registry = registry
        self._success = success
        self._ongoing: OngoingStop | None = None
        self._reason: TimeoutReason | None = None
        self._hurried = threading.Event()

    def hurry(self) -> None:
        """Use force now, or as soon as there is a process to end."""
        self._hurried.set()
        if self._ongoing is not None:
            self._ongoing.hurry()

    def run(self) -> StopResult:
        """Wait for the end of a start under way, then end the session."""
        session = self._session
        session.start_over.wait()
        ongoing, is_new = session.begin_stop()
        if ongoing is None:
            return nothing_to_stop(session.session_id)
        self._ongoing = ongoing
        if self._hurried.is_set() or not is_new:
            ongoing.hurry()
        if is_new:
            self._carry_out(ongoing)
        return ongoing.result.result()

    def after_exit(self) -> None:
        """Reap an agent that has exited, and end the rest of its tree; do nothing beside a stop."""
        ongoing, is_new = self._session.begin_stop()
        process = self._session.process
        if ongoing is None or not is_new or process is None:
            return
        result = None
        try:
            process.poll()
            if process.containment.is_empty:
                result = _of_exit(self._session.session_id, process)
        except Exception:  # noqa: BLE001 - the kill tries again, and reports what is wrong
            _log.debug("the exit of an agent could not be looked at", exc_info=True)
        if result is None:
            self._carry_out_in_thread(ongoing)
        else:
            self._finish(ongoing, result)

    def time_out(self, reason: TimeoutReason) -> None:
        """Stop a session whose time is over; do nothing beside another stop."""
        ongoing, is_new = self._session.begin_stop()
        if ongoing is None or not is_new:
            return
        self._reason = reason
        self._carry_out_in_thread(ongoing)

    def _carry_out_in_thread(self, ongoing: OngoingStop) -> None:
        # It may take long, and the thread that calls this watches the other agents.
        thread = threading.Thread(
            target=self._carry_out, args=(ongoing,), name="proctree_kill stop", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # the system has no thread left
            self._carry_out(ongoing)

    def _carry_out(self, ongoing: OngoingStop) -> None:
        session = self._session
        result = _failed(session, "the stop was abandoned")
        try:
            if self._reason is not None:
                self._registry.announce(session, "timed_out", reason=self._reason)
            if self._success is SessionState.STOPPED:
                self._registry.announce(session, "stopping")
            result = self._end_tree(ongoing.hurry)
        except TargetRefusedError as error:
            result = _failed(session, str(error))
        except Exception as error:  # noqa: BLE001 - the result reports it; a stop raises nothing
            _log.exception("a stop failed", extra={"session_id": session.session_id})
            notes = getattr(error, "__notes__", ())
            result = _failed(session, "; ".join([f"{type(error).__name__}: {error}", *notes]))
        finally:  # also after an interrupt: other stops wait for the result
            self._finish(ongoing, self._with_reason(result))

    def _with_reason(self, result: StopResult) -> StopResult:
        """Say that its time was over; ``kill`` has what ended the tree."""
        if self._reason is None:
            return result
        seconds = getattr(self._session.options, self._reason)
        message = f"{result.message}; its {self._reason} of {seconds:g} s was over"
        return result.model_copy(update={"method": "timed_out", "message": message})

    def _end_tree(self, hurry: Hurry) -> StopResult:
        session, policy = self._session, self._registry.policy
        if session.process is not None:
            # An agent that has exited by itself cannot obey the hook.
            exited = self._success is SessionState.EXITED
            hook = None if exited else session.options.hook(session)
            process, spare = session.process, session.options.spare
            # Other stops need descriptors at the same time.
            kill = retry(
                lambda: hurry.kill(process, policy, spare, hook), policy.grace + policy.settle
            )
            return _of_kill(session, kill, hook)
        path = self._registry.entry_path(session.session_id)
        if path is None:
            return nothing_to_stop(session.session_id)
        return _of_record(session, RecordRecovery(path, policy, owned=True, hurry=hurry).run())

    def _finish(self, ongoing: OngoingStop, result: StopResult) -> None:
        """Remove the record, update the table, set the state, announce, release other stops."""
        session, registry = self._session, self._registry
        extra = {"session_id": session.session_id}
        exited = self._success is SessionState.EXITED
        try:
            recording = session.recording
            if result.success and recording is not None and not recording.forget():
                _log.warning("the record %s cannot be removed", recording.path, extra=extra)
            if result.success and session.process is not None and _has_spared(result):
                session.process.containment.abandon()  # or the guard ends what was spared
            if result.success:
                registry.note_ended(session.session_id)  # before: a stop finds it in one of them
            if result.success or session.recovered:
                registry.remove(session)
            # With its state, its id is free as well.
            session.end_stop(self._success if result.success else SessionState.FAILED, result)
            if not result.success:
                if exited or self._reason:  # no caller gets this result
                    _log.warning("%s", result.message, extra=extra)
                registry.announce(session, "stop_failed", method=result.method, error=result.error)
            elif exited:
                registry.announce(session, "exited")
            else:
                registry.announce(session, "stopped", method=result.method)
        finally:
            ongoing.result.set_result(result)


def _has_spared(result: StopResult) -> bool:
    outcomes = result.kill.outcomes if result.kill else ()
    return any(outcome.fate is Fate.SPARED for outcome in outcomes)


def nothing_to_stop(session_id: str, detail: str | None = None) -> StopResult:
    """Return the result of a stop that found no process."""
    return _result(session_id, "nothing_to_stop", detail or _MESSAGES["nothing_to_stop"])


def not_found(session_id: str) -> StopResult:
    """Return the result of a stop whose id is no session's."""
    error = f"Session {session_id} not found"
    return _result(session_id, "not_found", "not found: it is not known, and has no record", error)


def _of_exit(session_id: str, process: TreePopen[Any]) -> StopResult:
    """Return the result for an agent that has exited and left nothing behind."""
    root = ProcessOutcome(
        identity=process.identity,
        evidence=(Evidence.ROOT,),
        fate=Fate.ALREADY_GONE,
        exit_code=process.exit_code,
    )
    kill = KillResult(
        target=(process.identity,), outcomes=(root,), seconds=0, usage=process.usage()
    )
    detail = "; ".join([_MESSAGES["nothing_to_stop"], *remarks(kill.usage)])
    return _result(session_id, "nothing_to_stop", detail, kill=with_reasons(kill))


def _of_kill(session: ManagedSession, kill: KillResult, hook: ShutdownHook | None) -> StopResult:
    method = _method(session, kill, hook)
    words = _MESSAGES[method] if kill.ok else "a process is still alive"
    error = None if kill.ok else str(SurvivorsError(kill))
    return _result(session.session_id, method, f"{words}; {kill.summary()}", error, kill)


def _method(session: ManagedSession, kill: KillResult, hook: ShutdownHook | None) -> StopMethod:
    if kill.forced:
        return "killed"
    if any(outcome.signals for outcome in kill.outcomes):
        return "terminated"
    had_input = session.process is not None and session.process.stdin is not None
    if all(outcome.fate is not Fate.TERMINATED for outcome in kill.outcomes):
        return "nothing_to_stop"
    if hook is not None and not (hook.problem and had_input):
        return "shutdown"
    return "closed_stdin" if had_input else "nothing_to_stop"  # it left by itself just then


def _of_record(session: ManagedSession, outcome: RecordOutcome) -> StopResult:
    if outcome.fate in (RecordFate.GONE, RecordFate.RECYCLED):
        return nothing_to_stop(session.session_id, outcome.detail)
    summary = outcome.kill.summary() if outcome.kill else None
    detail = "; ".join(filter(None, (summary, outcome.detail))) or outcome.fate
    if outcome.fate in (RecordFate.UNTRUSTED, RecordFate.UNREADABLE):
        detail = f"its record is {outcome.fate}: {detail}"
    error = None if outcome.fate is RecordFate.ENDED else detail
    if outcome.fate not in (RecordFate.ENDED, RecordFate.SURVIVED):
        return _result(session.session_id, "nothing_to_stop", detail, error, outcome.kill)
    message = f"{_MESSAGES['recovered_record']}; {detail}"
    return _result(session.session_id, "recovered_record", message, error, outcome.kill)


def _failed(session: ManagedSession, error: str) -> StopResult:
    return _result(session.session_id, "nothing_to_stop", error, error)


def _result(
    session_id: str,
    method: StopMethod,
    detail: str,
    error: str | None = None,
    kill: KillResult | None = None,
) -> StopResult:
    return StopResult(
        success=error is None,
        session_id=session_id,
        method=method,
        message=f"session {session_id}: {detail}",
        error=error,
        kill=kill,
    )
