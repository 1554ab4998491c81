"""The command ``fleet``."""

from __future__ import annotations

import asyncio
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from .._models.text import Row, Table, printable
from .._sessions.models import SessionState
from .exit_codes import Exit
from .screen import Screen
from .sessions import show_stop
from .tables import age

if TYPE_CHECKING:
    from ..fleet import Fleet, FleetSession

MARGIN = 1.0  # seconds for the reason that distributed itself gives when the time is over

_STYLES = {
    SessionState.RUNNING: "green",
    SessionState.STARTING: "green",
    SessionState.FAILED: "red",
    SessionState.LOST: "red",
}


def run(options: Namespace, screen: Screen) -> Exit:
    """Run the command.

    Raises:
        FleetError: the scheduler has no fleet, or does not answer any more.
        SessionError: the id of the session is not valid.
    """
    try:
        from ..fleet import Fleet  # noqa: PLC0415 - of an extra, and slow to import
    except ImportError as error:
        screen.error(str(error))
        return Exit.USAGE
    from distributed import Client  # noqa: PLC0415 - as above

    if (problem := _problem(options.address, options.timeout)) is not None:
        screen.error(f"no scheduler answers at {options.address}: {problem}")
        return Exit.USAGE
    try:
        client = Client(options.address, timeout=options.timeout, set_as_default=False)
    except (OSError, ValueError) as error:
        screen.error(f"no scheduler answers at {options.address}: {error}")
        return Exit.USAGE
    with client:
        fleet = Fleet(client, deadline=options.timeout)
        return _ACTIONS[options.action](fleet, options, screen)


def _problem(address: str, seconds: float) -> str | None:
    """Return why there is no connection to an address; None if there is one.

    A client of distributed waits for ever for one that is accepted and never used.
    """
    from distributed.comm import connect  # noqa: PLC0415 - as above
    from distributed.security import Security  # noqa: PLC0415 - as above

    async def knock() -> None:
        arguments = Security().get_connection_args("client")
        (await connect(address, timeout=seconds, **arguments)).abort()

    def call() -> None:
        try:
            asyncio.run(knock())
            problems.append(None)
        except Exception as error:  # noqa: BLE001 - also what a wrong address or certificate raises
            problems.append(str(error))

    problems: list[str | None] = []
    thread = threading.Thread(target=call, name="proctree_kill fleet", daemon=True)
    thread.start()
    thread.join(seconds + MARGIN)
    return problems[0] if problems else f"it did not answer within {seconds:g} s"


def _sessions(fleet: Fleet, options: Namespace, screen: Screen) -> Exit:
    sessions = fleet.sessions().values()
    now = time.time()
    if options.json:
        screen.json({"sessions": [_facts(session, now) for session in sessions]})
    elif sessions:
        screen.table(_table(sessions, now), fold=False)  # each id is needed for a stop
    else:
        screen.info("the fleet has no sessions")
    return Exit.GONE


def _stop(fleet: Fleet, options: Namespace, screen: Screen) -> Exit:
    return show_stop(fleet.stop_agent(options.session_id), options, screen)


def _recover(fleet: Fleet, options: Namespace, screen: Screen) -> Exit:
    found = fleet.recover(dry_run=options.dry_run)
    code = Exit.GONE if found.ok else Exit.ALIVE
    if options.json:
        screen.json({"ok": found.ok, **found.model_dump(mode="json")})
        return code
    screen.table(found, fold=not options.verbose)
    if options.quiet and not found.ok:
        screen.error(found.summary())
    return code


def _facts(session: FleetSession, now: float) -> dict[str, object]:
    return {
        "id": session.session_id,
        "tool": session.tool,
        "pid": session.pid,
        "age": _age(session, now),
        "state": session.state,
        "host": session.host,
        "worker": session.worker,
    }


def _table(sessions: Iterable[FleetSession], now: float) -> Table:
    rows = []
    for session in sessions:
        texts = (session.session_id, session.host, session.tool, str(session.pid or ""))
        cells = (*map(printable, texts), age(_age(session, now)), session.state)
        rows.append(Row(cells, _STYLES.get(session.state, "")))
    heads = ("SESSION", "HOST", "TOOL", "PID", "AGE", "STATE")
    return Table(heads, rows, optional=("TOOL", "AGE"), counted="SESSION").compact()


def _age(session: FleetSession, now: float) -> float | None:
    return None if session.started_at is None else now - session.started_at


_ACTIONS: Mapping[str, Callable[[Fleet, Namespace, Screen], Exit]] = {
    "sessions": _sessions,
    "stop": _stop,
    "recover": _recover,
}
