"""The commands ``sessions``, ``stop`` and ``recover``."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Mapping

from .._models.result import outcome_table
from .._records.recover import recover
from .._sessions.manager import SessionManager
from .._sessions.models import StopResult
from .exit_codes import Exit
from .kill import policy_of
from .screen import Screen
from .session_table import session_state, session_table


def run(options: Namespace, screen: Screen) -> Exit:
    """Run one of the commands.

    Raises:
        RecordError: the folder cannot be read.
        SessionError: the id of the session is not valid.
        PolicyError: an option is out of range.
    """
    return _COMMANDS[options.command](options, screen)


def _sessions(options: Namespace, screen: Screen) -> Exit:
    report = recover(options.directory, dry_run=True)
    now = time.time()
    if options.json:
        sessions = [
            {
                "id": record.session_id,
                "tool": record.tool,
                "pid": record.pid,
                "age": None if record.created_at is None else now - record.created_at,
                "state": session_state(record),
                "owner": record.owner,
                "path": record.path,
                "detail": record.detail,
            }
            for record in report.outcomes
        ]
        screen.json({"sessions": sessions})
    elif report.outcomes:
        screen.table(session_table(report, now), fold=not options.verbose)
    else:
        screen.info("no sessions are recorded there")
    return Exit.GONE


def _stop(options: Namespace, screen: Screen) -> Exit:
    policy = policy_of(options)
    manager = SessionManager(options.directory, policy=policy)
    with screen.grace(policy.grace, verbose=options.verbose):
        result = manager.stop_agent(options.session_id)
    return show_stop(result, options, screen)


def show_stop(result: StopResult, options: Namespace, screen: Screen) -> Exit:
    """Print the result of a stop, and return its exit code."""
    code = Exit.GONE if result.success else Exit.ALIVE
    if result.method == "not_found":
        code = Exit.NO_SESSION
    if options.json:
        screen.json(result.model_dump(mode="json"))
        return code
    screen.table(result if result.ok else outcome_table(result.kill), fold=not options.verbose)
    if not result.ok:
        screen.error(result.summary())
    return code


def _recover(options: Namespace, screen: Screen) -> Exit:
    policy = policy_of(options)
    with screen.grace(policy.grace, verbose=options.verbose):
        report = recover(
            options.directory, policy=policy, dry_run=options.dry_run, bare=options.bare
        )
    code = Exit.GONE if report.ok else Exit.ALIVE
    if options.json:
        screen.json({"ok": report.ok, **report.model_dump(mode="json")})
        return code
    screen.table(report, fold=not options.verbose)
    if options.quiet and not report.ok:
        screen.error(report.summary())
    return code


_COMMANDS: Mapping[str, Callable[[Namespace, Screen], Exit]] = {
    "sessions": _sessions,
    "stop": _stop,
    "recover": _recover,
}
