"""The stop of one session, and what follows the exit of an agent by itself."""

from __future__ import annotations

import logging
import threading

from .._models.errors import TargetRefusedError
from .._models.result import Fate, KillResult, SurvivorsError
from .._records.recover_record import RecordRecovery
from .._records.report import RecordFate, RecordOutcome
from .models import SessionState, StopMethod, StopResult
from .registry import Registry
from .session import ManagedSession, OngoingStop

_log = logging.getLogger("proctree_kill")

_MESSAGES: dict[StopMethod, str] = {
    "closed_stdin": "it exited when its standard input was closed",
    "terminated": "it exited when it was asked",
    "killed": "it was ended by force",
    "recovered_record": "its record led to it, and it was ended",
    "nothing_to_stop": "no process was left",
}
_ABANDONED = "the stop was abandoned"


class SessionStop:
    """The stop of a session; a second one hurries the first and waits for it."""

    def __init__(self, session: ManagedSession, registry: Registry) -> None:
        """Take the session; nothing is done yet."""
        self._session = session
        self._registry = registry
        self._ongoing: OngoingStop | None = None
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
            self._registry.announce(session, "stopping")
            _carry_out(session, self._registry, ongoing, SessionState.STOPPED)
        ongoing.over.wait()
        return ongoing.result or _failed(session, _ABANDONED)


def handle_exit(session: ManagedSession, registry: Registry) -> None:
    """Reap an agent that has exited, and end the rest of its tree; do nothing beside a stop."""
    ongoing, is_new = session.begin_stop()
    if ongoing is None or not is_new or session.process is None:
        return
    session.process.poll()
    if session.process.containment.is_empty:
        _finish(
            session, registry, ongoing, nothing_to_stop(session.session_id), SessionState.EXITED
        )
        return
    arguments = (session, registry, ongoing, SessionState.EXITED)
    try:  # in a thread of its own, because a stop may take long
        threading.Thread(
            target=_carry_out, args=arguments, name="proctree_kill", daemon=True
        ).start()
    except RuntimeError:  # the system has no thread left
        _carry_out(*arguments)


def nothing_to_stop(session_id: str, detail: str | None = None) -> StopResult:
    """Return the result of a stop that found no process."""
    return _result(session_id, "nothing_to_stop", detail or _MESSAGES["nothing_to_stop"])


def _carry_out(
    session: ManagedSession, registry: Registry, ongoing: OngoingStop, state: SessionState
) -> None:
    """End the tree of a session, then the session; ``state`` is the state after success."""
    result = _failed(session, _ABANDONED)
    try:
        result = _end_tree(session, registry, ongoing)
    except TargetRefusedError as error:
        result = _failed(session, str(error))
    except Exception as error:  # noqa: BLE001 - the result reports it; a stop raises nothing
        _log.exception("a stop failed", extra={"session_id": session.session_id})
        result = _failed(session, f"{type(error).__name__}: {error}")
    finally:  # also for what no Exception is: other stops wait for the result
        _finish(session, registry, ongoing, result, state)


def _end_tree(session: ManagedSession, registry: Registry, ongoing: OngoingStop) -> StopResult:
    """End the tree of the agent, or of the record that another process wrote."""
    if session.process is not None:
        return _of_kill(session, ongoing.hurry.kill(session.process, registry.policy))
    path = registry.entry_path(session.session_id)
    if path is None:
        return nothing_to_stop(session.session_id)
    return _of_record(
        session, RecordRecovery(path, registry.policy, owned=True, hurry=ongoing.hurry).run()
    )


def _finish(
    session: ManagedSession,
    registry: Registry,
    ongoing: OngoingStop,
    result: StopResult,
    state: SessionState,
) -> None:
    """Remove the record, set the state, update the table, announce, and release waiting stops."""
    extra = {"session_id": session.session_id}
    try:
        recording = session.recording
        if result.success and recording is not None and not recording.forget():
            _log.warning("the record %s cannot be removed", recording.path, extra=extra)
        session.end_stop(state if result.success else SessionState.FAILED)
        if result.success or session.recovered:
            registry.remove(session)
        if not result.success:
            if state is SessionState.EXITED:  # no caller waits for this result
                _log.warning("%s", result.message, extra=extra)
            registry.announce(session, "stop_failed", method=result.method, error=result.error)
        elif state is SessionState.EXITED:
            registry.announce(session, "exited")
        else:
            registry.announce(session, "stopped", method=result.method)
    finally:
        ongoing.result = result
        ongoing.over.set()


def _of_kill(session: ManagedSession, kill: KillResult) -> StopResult:
    method = _method(kill)
    words = _MESSAGES[method] if kill.ok else "a process is still alive"
    error = None if kill.ok else str(SurvivorsError(kill))
    return _result(session.session_id, method, f"{words}; {kill.summary()}", error, kill)


def _method(kill: KillResult) -> StopMethod:
    if kill.forced:
        return "killed"
    if any(outcome.signals for outcome in kill.outcomes):
        return "terminated"
    if any(outcome.fate is Fate.TERMINATED for outcome in kill.outcomes):
        return "closed_stdin"
    return "nothing_to_stop"


def _of_record(session: ManagedSession, outcome: RecordOutcome) -> StopResult:
    if outcome.fate in (RecordFate.GONE, RecordFate.RECYCLED):
        return nothing_to_stop(session.session_id, outcome.detail)
    detail = outcome.detail or (outcome.kill.summary() if outcome.kill else outcome.fate)
    if outcome.fate is RecordFate.UNTRUSTED:
        detail = f"its record is untrusted: {detail}"
    error = None if outcome.fate is RecordFate.REAPED else detail
    if outcome.fate not in (RecordFate.REAPED, RecordFate.SURVIVED):
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
