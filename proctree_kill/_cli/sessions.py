"""The commands about sessions: sessions, stop, recover. Each tells whether nobody lives."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Callable, Mapping

from .._models.policy import KillPolicy
from .._records.recover import recover
from .._sessions.manager import SessionManager
from . import tables
from .screen import Screen


def run(options: Namespace, screen: Screen) -> bool:
    """Run a command.

    Raises:
        RecordError: the folder cannot be read.
        SessionError: that is no id.
        PolicyError: an option is out of range.
    """
    return _COMMANDS[options.command](options, screen)


def _sessions(options: Namespace, screen: Screen) -> bool:
    """List what is written down."""
    report = recover(options.directory, dry_run=True)
    now = time.time()
    if options.json:
        screen.deliver(
            _json(
                {
                    "sessions": [
                        {
                            "id": one.session_id,
                            "tool": one.tool,
                            "pid": one.pid,
                            "age": None if one.created_at is None else now - one.created_at,
                            "state": tables.state(one),
                            "owner": one.owner,
                            "path": one.path,
                            "detail": one.detail,
                        }
                        for one in report.outcomes
                    ]
                }
            )
        )
    elif report.outcomes:
        screen.show(tables.sessions(report, now))
    else:
        screen.say("no sessions are written down there")
    return True


def _stop(options: Namespace, screen: Screen) -> bool:
    """End a session."""
    result = SessionManager(options.directory, policy=_policy(options)).stop_agent(
        options.session_id
    )
    if options.json:
        screen.deliver(_json(result.model_dump(mode="json")))
        return result.success
    if result.kill is not None and result.kill.outcomes:
        screen.report(result.kill)
    if result.success:
        screen.say(result.message)
    else:
        screen.complain(result.message)
    return result.success


def _recover(options: Namespace, screen: Screen) -> bool:
    """End what dead owners left behind."""
    report = recover(
        options.directory, policy=_policy(options), dry_run=options.dry_run, bare=options.bare
    )
    if options.json:
        screen.deliver(_json({"ok": report.ok, **report.model_dump(mode="json")}))
        return report.ok
    if report.outcomes:
        screen.show(tables.recovery(report))
    screen.say(report.summary())
    return report.ok


_COMMANDS: Mapping[str, Callable[[Namespace, Screen], bool]] = {
    "sessions": _sessions,
    "stop": _stop,
    "recover": _recover,
}


def _policy(options: Namespace) -> KillPolicy:
    """Return how long to wait."""
    return KillPolicy().but(grace=options.grace, settle=options.settle)


def _json(value: object) -> str:
    """Write JSON in ASCII, which every encoding has, lone surrogates too."""
    return json.dumps(value, indent=2)
