"""Pure: which session is where, and the results that a fleet returns."""

from __future__ import annotations

import pickle

import pytest

from proctree_kill import RecoveryReport, SessionEvent, SessionState
from proctree_kill.errors import FleetError, SessionError, UnreachableError
from proctree_kill.fleet import FleetEvent, FleetRecovery, FleetSession, HostRecovery
from proctree_kill.fleet.models import unreachable
from proctree_kill.fleet.table import REMEMBERED, SessionTable

WORKERS = {"tcp://a:1": "a", "tcp://a:2": "a", "tcp://b:1": "b"}

REPORT = RecoveryReport(directory="/d", dry_run=False, outcomes=())


@pytest.fixture
def table() -> SessionTable:
    table = SessionTable()
    for worker, host in WORKERS.items():
        table.ready(worker, host, [], 0)
    return table


def event(kind: str, state: str, session_id: str = "s") -> SessionEvent:
    return SessionEvent(
        event=f"mcp.session.{kind}",
        session_id=session_id,
        tool="mcp",
        state=SessionState(state),
        pid=4711,
        at=1.0,
    )


def run(table: SessionTable, host: str | None = None, session_id: str = "s") -> FleetSession:
    """Start a session; return it."""
    entry = table.reserve(session_id, "mcp", host)
    assert table.claim(session_id, entry.token, entry.session.worker)
    table.apply(event("started", "running", session_id), entry.session.worker)
    return entry.session


def test_a_session_runs_and_ends_with_its_events(table: SessionTable) -> None:
    session = run(table)
    assert (session.state, session.pid, session.started_at) == ("running", 4711, 1.0)
    table.apply(event("timed_out", "running").model_copy(update={"at": 9.0}), session.worker)
    assert [*table] == [session]
    table.apply(event("stopping", "stopping"), session.worker)
    assert [known.state for known in table] == ["stopping"]
    table.apply(event("stop_failed", "failed"), session.worker)
    assert [known.state for known in table] == ["failed"]
    table.apply(event("stopped", "stopped"), session.worker)
    assert [*table] == []
    assert table.ended("s")


def test_the_event_of_another_worker_changes_nothing(table: SessionTable) -> None:
    session = run(table, "tcp://a:1")
    table.apply(event("stopped", "stopped"), "tcp://a:2")
    assert [*table] == [session]


def test_sessions_spread_over_the_workers_and_a_silent_one_gets_none(table: SessionTable) -> None:
    table.silent.add("tcp://a:2")
    workers = [run(table, session_id=f"s{number}").worker for number in range(4)]
    assert sorted(workers) == ["tcp://a:1", "tcp://a:1", "tcp://b:1", "tcp://b:1"]
    assert run(table, "tcp://a:2").worker == "tcp://a:2"
    assert [table.is_busy(worker) for worker in (*WORKERS, "tcp://c:1")] == [True] * 3 + [False]


def test_an_id_in_use_is_refused_and_so_is_an_unknown_host(table: SessionTable) -> None:
    run(table, "b")
    with pytest.raises(SessionError, match="running on b"):
        table.reserve("s", "mcp", None)
    with pytest.raises(FleetError, match="c: no such host is ready"):
        table.reserve("t", "mcp", "c")
    with pytest.raises(FleetError, match=r"the fleet: .*none"):
        SessionTable().reserve("t", "mcp", None)


def test_a_start_that_was_given_up_is_never_claimed(table: SessionTable) -> None:
    first = table.reserve("s", "mcp", None)
    worker = first.session.worker
    table.release("s", first.token)
    second = table.reserve("s", "mcp", worker)
    assert not table.claim("s", first.token, worker)
    table.release("s", first.token)
    assert table.claim("s", second.token, worker)
    assert not table.claim("t", second.token, worker)


def test_a_worker_that_leaves_starts_nothing_and_keeps_its_sessions(table: SessionTable) -> None:
    session = run(table, "b")
    begun = table.reserve("t", "mcp", "b")
    table.leave("tcp://b:1")
    assert not table.claim("t", begun.token, "tcp://b:1")
    assert table.recovered("b", [], table.losses) == []
    with pytest.raises(FleetError, match="b: no such host is ready"):
        table.reserve("u", "mcp", "b")
    assert session in [*table]
    assert [lost.session_id for lost in table.lose("tcp://b:1")] == ["s"]


def test_a_lost_session_holds_its_id_until_its_machine_has_recovered(table: SessionTable) -> None:
    session = run(table, "tcp://a:1")
    assert [lost.session_id for lost in table.lose("tcp://a:1")] == ["s"]
    assert table.lose("tcp://a:1") == []
    assert table.ready("tcp://b:1", "b", [], table.losses) == []
    assert table.ready("tcp://a:3", "a", ["s"], table.losses) == []
    with pytest.raises(SessionError, match="lost"):
        table.reserve("s", "mcp", None)
    assert [ended.session_id for ended in table.ready("tcp://a:2", "a", [], table.losses)] == ["s"]
    assert session.worker in str(table.ended("s"))
    assert not table.is_busy("tcp://a:1")


def test_a_recovery_ends_no_session_that_was_lost_after_it_began(table: SessionTable) -> None:
    run(table, "tcp://a:1")
    losses = table.losses
    table.lose("tcp://a:1")
    assert table.recovered("a", [], losses) == []
    assert [ended.session_id for ended in table.recovered("a", [], table.losses)] == ["s"]


def test_another_worker_process_of_the_machine_ends_a_lost_session(table: SessionTable) -> None:
    session = run(table, "tcp://a:1")
    table.lose("tcp://a:1")
    for kind, state in (
        ("stopping", "stopping"),
        ("stop_failed", "failed"),
        ("stopped", "stopped"),
    ):
        assert [known.session_id for known in table] == ["s"]
        table.apply(event(kind, state), "tcp://a:2")
    assert [*table] == []
    assert session.worker in str(table.ended("s"))


def test_a_start_that_no_worker_has_claimed_is_not_lost(table: SessionTable) -> None:
    entry = table.reserve("s", "mcp", "tcp://a:1")
    assert table.lose("tcp://a:1") == []
    assert entry.session.state is SessionState.STARTING


def test_the_last_sessions_that_ended_are_remembered(table: SessionTable) -> None:
    for number in range(REMEMBERED + 1):
        session = run(table, session_id=f"s{number}")
        table.apply(event("exited", "exited", session.session_id), session.worker)
    assert table.ended("s0") is None
    assert table.ended("s1")


def test_results_survive_json() -> None:
    session = FleetSession(
        session_id="s", host="a", worker="tcp://a:1", tool="mcp", state=SessionState.LOST
    )
    told = FleetEvent(**event("lost", "lost").model_dump(), host="a", worker="tcp://a:1")
    for model in (session, told, unreachable("s", "it did not answer")):
        assert type(model).model_validate_json(model.model_dump_json()) == model


def test_a_recovery_is_as_good_as_its_worst_host() -> None:
    good = HostRecovery(host="a", outcome="answered", report=REPORT)
    silent = HostRecovery(host="b", outcome="unreachable", error="it did not answer")
    assert FleetRecovery(hosts=(good,)).ok
    both = FleetRecovery(hosts=(good, silent))
    assert not both.ok
    assert "b: it did not answer" in both.summary()
    assert "unreachable" in str(both)
    assert FleetRecovery(hosts=()).summary() == "no host is there"


def test_errors_travel() -> None:
    error = pickle.loads(pickle.dumps(UnreachableError("tcp://a:1", "gone")))  # noqa: S301 - ours
    assert (type(error), error.address, str(error)) == (
        UnreachableError,
        "tcp://a:1",
        "tcp://a:1: gone",
    )
