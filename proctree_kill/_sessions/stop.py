"""Stopping one session, whoever asks, and seeing to one that left by itself."""

from __future__ import annotations

import logging
import threading

from .._models.errors import TargetRefusedError
from .._models.result import Fate, KillResult, SurvivorsError
from .._records.recover_record import RecordRecovery
from .._records.report import RecordFate, RecordOutcome
from .agent import Agent, Ending
from .models import SessionState, StopMethod, StopResult
from .registry import Registry

_log = logging.getLogger("proctree_kill")

_WORDS: dict[StopMethod, str] = {
    "closed_stdin": "it left when its standard input was closed",
    "terminated": "it left when it was asked",
    "killed": "it was ended by force",
    "recovered_record": "it was ended by what its record says",
    "nothing_to_stop": "nobody was left of it",
}


class SessionStop:
    """The stop of a session; one that comes second hurries the first and waits for it."""

    def __init__(self, agent: Agent, registry: Registry) -> None:
        """Say which."""
        self._agent = agent
        self._registry = registry
        self._ending: Ending | None = None
        self._hurried = threading.Event()

    def hurry(self) -> None:
        """Let the force begin, now or as soon as there is somebody to end."""
        self._hurried.set()
        if self._ending is not None:
            self._ending.hurry()

    def run(self) -> StopResult:
        """Wait until it is started, if it starts just now, and end it."""
        agent = self._agent
        agent.born.wait()
        ending, leads = agent.end()
        if ending is None:
            return nothing(agent.session_id)
        self._ending = ending
        if self._hurried.is_set() or not leads:
            ending.hurry()
        if leads:
            self._registry.tell(agent, "stopping")
            lead(agent, self._registry, ending, SessionState.STOPPED)
        ending.over.wait()
        return ending.result or _failed(agent, "the stop was abandoned")


def leave(agent: Agent, registry: Registry) -> None:
    """See to an agent that has ended, unless a stop ended it: nobody of its tree may be left.

    Its dead root is reaped. Whoever is left is ended by a thread of its own, which may take long.
    """
    ending = agent.leave()
    if ending is None or agent.process is None:
        return
    agent.process.poll()
    if agent.process.containment.is_empty:
        _conclude(agent, registry, ending, nothing(agent.session_id), SessionState.EXITED)
        return
    arguments = (agent, registry, ending, SessionState.EXITED)
    try:
        threading.Thread(target=lead, args=arguments, name="proctree_kill", daemon=True).start()
    except RuntimeError:  # the system has no thread left
        lead(*arguments)


def lead(agent: Agent, registry: Registry, ending: Ending, state: SessionState) -> None:
    """End a session, take it off the table, and let everybody know.

    Args:
        agent: which.
        registry: whose.
        ending: what others wait for; this never leaves it without a result.
        state: what the session becomes if nobody is left.
    """
    result = _failed(agent, "the stop was abandoned")
    try:
        result = _end(agent, registry, ending)
    except TargetRefusedError as error:
        result = _failed(agent, str(error))
    except Exception as error:  # noqa: BLE001 - whoever waits is told; a stop raises nothing
        _log.exception("a stop failed", extra={"session_id": agent.session_id})
        result = _failed(agent, f"{type(error).__name__}: {error}")
    finally:
        _conclude(agent, registry, ending, result, state)


def nothing(session_id: str, detail: str | None = None) -> StopResult:
    """Say that there was nobody to stop."""
    return StopResult(
        success=True,
        session_id=session_id,
        method="nothing_to_stop",
        message=f"session {session_id}: {detail or _WORDS['nothing_to_stop']}",
    )


def _end(agent: Agent, registry: Registry, ending: Ending) -> StopResult:
    """End the tree of a process that we started, or of one that a record tells of."""
    if agent.process is not None:
        return _of_kill(agent, ending.hurry.kill(agent.process, registry.policy))
    path = registry.entry_path(agent.session_id)
    if path is None:
        return nothing(agent.session_id)
    return _of_record(
        agent, RecordRecovery(path, registry.policy, owned=True, hurry=ending.hurry).run()
    )


def _conclude(
    agent: Agent, registry: Registry, ending: Ending, result: StopResult, state: SessionState
) -> None:
    """Drop the record, change the state, take it off the table, tell, and let the others go on."""
    try:
        if result.success and agent.recording is not None and not agent.recording.forget():
            _log.warning(
                "the record %s cannot be removed",
                agent.recording.path,
                extra={"session_id": agent.session_id},
            )
        agent.ended(state if result.success else SessionState.FAILED)
        if result.success or agent.recovered:
            registry.dismiss(agent)
        if not result.success and state is SessionState.EXITED:  # nobody waits for the result
            _log.warning("%s", result.message, extra={"session_id": agent.session_id})
        if not result.success:
            registry.tell(agent, "stop_failed", method=result.method, error=result.error)
        elif state is SessionState.EXITED:
            registry.tell(agent, "exited")
        else:
            registry.tell(agent, "stopped", method=result.method)
    finally:
        ending.result = result
        ending.over.set()


def _of_kill(agent: Agent, kill: KillResult) -> StopResult:
    """Say what a kill came to."""
    method = _method(kill)
    error = None if kill.ok else str(SurvivorsError(kill))
    words = _WORDS[method] if kill.ok else "somebody is still alive"
    return StopResult(
        success=kill.ok,
        session_id=agent.session_id,
        method=method,
        message=f"session {agent.session_id}: {words}; {kill.summary()}",
        error=error,
        kill=kill,
    )


def _method(kill: KillResult) -> StopMethod:
    """Say what a kill took."""
    if kill.forced:
        return "killed"
    if any(one.signals for one in kill.outcomes):
        return "terminated"
    if any(one.fate is Fate.TERMINATED for one in kill.outcomes):
        return "closed_stdin"
    return "nothing_to_stop"


def _of_record(agent: Agent, found: RecordOutcome) -> StopResult:
    """Say what acting upon a record came to."""
    if found.fate in (RecordFate.GONE, RecordFate.RECYCLED):
        return nothing(agent.session_id, found.detail)
    success = found.fate is RecordFate.REAPED
    acted = success or found.fate is RecordFate.SURVIVED
    detail = found.detail or (found.kill.summary() if found.kill else found.fate)
    if found.fate is RecordFate.UNTRUSTED:
        detail = f"its record is untrusted: {detail}"
    words = f"{_WORDS['recovered_record']}; {detail}" if acted else detail
    return StopResult(
        success=success,
        session_id=agent.session_id,
        method="recovered_record" if acted else "nothing_to_stop",
        message=f"session {agent.session_id}: {words}",
        error=None if success else detail,
        kill=found.kill,
    )


def _failed(agent: Agent, error: str) -> StopResult:
    """Say that a stop did not come to pass."""
    return StopResult(
        success=False,
        session_id=agent.session_id,
        method="nothing_to_stop",
        message=f"session {agent.session_id}: {error}",
        error=error,
    )
