"""Seam: the whole engine over a system without processes."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctree_kill import (
    Evidence,
    Fate,
    KillEvent,
    KillResult,
    ProcessIdentity,
    TreeMember,
    TreeSnapshot,
    kill_tree,
)
from proctree_kill._engine import killing, rest
from proctree_kill._engine.markers import HIDDEN_TIME
from proctree_kill._engine.plan import LAST_LOOKS
from proctree_kill._engine.rest import BIRTH_PAUSE, RestWaiter
from proctree_kill._engine.scan import scan
from proctree_kill._engine.spare import Spare, sparing
from proctree_kill._engine.target import Aim, Claim, Contained
from proctree_kill._engine.tree import Tree
from proctree_kill._systems.contract import System
from proctree_kill._systems.member import DESCENDANT, DIES, MARKER, SESSION, Member
from support.capabilities import has
from support.fake_system import TICK, FakeSystem, Process

GRACE = 2.0
SETTLE = 5.0
MARK = frozenset({b"MARK=1"})
FEW = 16 * TICK  # what a handful of steps takes


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> FakeSystem:
    system = FakeSystem()
    use(monkeypatch, system)
    return system


def use(monkeypatch: pytest.MonkeyPatch, system: System) -> None:
    """Let every call use this system."""
    monkeypatch.setattr(killing, "current", lambda *_: system)


def fates(result: KillResult) -> dict[str | None, Fate]:
    """Return the fate of each process by name."""
    return {outcome.name: outcome.fate for outcome in result.outcomes}


def listener(system: FakeSystem) -> Callable[[KillEvent], None]:
    """Return a listener that writes into the log of the system."""
    return lambda event: system.note(f"event {event.kind}")


def stubborn_family(system: FakeSystem, *, leads: bool = False) -> Process:
    """Add a root with two children, all of which ignore a request."""
    top = system.spawn("root", leaves=None, leads=leads)
    for name in ("child", "other child"):
        system.spawn(name, top, leaves=None)
    return top


def test_a_tree_that_obeys_is_terminated_in_one_round(system: FakeSystem) -> None:
    root = system.spawn("root", leaves=0.5)
    system.spawn("child", root, leaves=0.25)
    result = kill_tree(root.pid, grace=GRACE)
    assert fates(result) == {"child": Fate.TERMINATED, "root": Fate.TERMINATED}
    assert [outcome.exit_code for outcome in result.outcomes] == [-15, -15]
    assert [(outcome.seconds or 0) // 0.25 for outcome in result.outcomes] == [3, 2]
    assert system.names("ask") == ["root", "child"]
    assert not {"freeze", "kill"} & {*system.verbs()}
    assert 0.75 <= result.seconds < 0.75 + FEW
    assert system.closed


def test_force_begins_at_the_first_step_after_the_grace(system: FakeSystem) -> None:
    root = stubborn_family(system)
    start = system.time
    result = kill_tree(root.pid, grace=GRACE)
    assert GRACE <= system.acts("freeze")[0].time - start < GRACE + FEW
    assert {outcome.fate for outcome in result.outcomes} == {Fate.KILLED}
    assert [outcome.signals for outcome in result.outcomes] == [
        ("SIGTERM", "SIGSTOP", "SIGKILL")
    ] * 3
    assert system.names("kill")[-1] == "root"


def test_a_member_that_cannot_die_survives_on_time_and_the_rest_is_gone(system: FakeSystem) -> None:
    root = stubborn_family(system)
    system.spawn("stuck", root, leaves=None, dies=None)
    result = kill_tree(root.pid, grace=GRACE, settle=SETTLE)
    assert [outcome.name for outcome in result.survivors] == ["stuck"]
    assert fates(result)["stuck"] is Fate.SURVIVED
    assert system.living() == {"stuck"}
    assert GRACE + SETTLE <= result.seconds < GRACE + SETTLE + FEW


def test_a_protected_process_is_denied_and_the_rest_is_gone(system: FakeSystem) -> None:
    root = stubborn_family(system)
    system.spawn("setuid", root, leaves=None, refuses=("ask", "freeze", "kill", "release"))
    result = kill_tree(root.pid, grace=0, settle=SETTLE)
    assert [outcome.name for outcome in result.survivors] == ["setuid"]
    assert fates(result)["setuid"] is Fate.DENIED
    assert system.living() == {"setuid"}
    assert result.seconds < FEW


@pytest.mark.parametrize("how", ["unreachable", "denied"])
def test_the_grace_ends_when_only_members_are_left_that_could_not_be_asked(
    system: FakeSystem, how: str
) -> None:
    root = system.spawn("root", leaves=0.5)
    refuses = ("ask",) if how == "denied" else ()
    system.spawn("silent", root, leaves=None, refuses=refuses)
    system.unreachable = ("silent",) if how == "unreachable" else ()
    result = kill_tree(root.pid, grace=GRACE)
    assert fates(result) == {"silent": Fate.KILLED, "root": Fate.TERMINATED}
    assert result.seconds < 0.5 + FEW


def test_a_survivor_has_a_reason(system: FakeSystem) -> None:
    result = kill_tree(system.spawn("stuck", dies=None, leaves=None).pid, grace=0, settle=SETTLE)
    assert [outcome.detail for outcome in result.survivors] == ["it cannot die"]


def test_the_orphan_of_a_parent_that_left_is_found_by_its_session(system: FakeSystem) -> None:
    root = system.spawn("root", leads=True)
    middle = system.spawn("middle", root)
    system.spawn("orphan", middle, leaves=None)
    result = kill_tree(root.pid, grace=GRACE)
    assert system.living() == set()
    assert fates(result)["orphan"] is Fate.KILLED


def test_a_helper_started_during_the_grace_is_awaited(system: FakeSystem) -> None:
    root = system.spawn("root", leaves=0.5, leads=True)
    child = system.spawn("child", root, leaves=0.25)

    def help_out() -> None:
        helper = system.spawn("helper", root)
        system.at(0.5, lambda: system.die(helper))

    system.at(0.125, help_out)
    result = kill_tree(root.pid, grace=GRACE)
    assert child.death
    assert "helper" not in system.names("ask")
    assert fates(result)["helper"] is Fate.TERMINATED
    assert result.ok


@pytest.mark.parametrize("counts", [True, False])
def test_a_fork_that_was_under_way_in_the_freeze_is_found_by_the_next_scan(
    system: FakeSystem, *, counts: bool
) -> None:
    system.counts = counts
    root = system.spawn("root", leaves=None, stops=0.5)

    def fork(event: KillEvent) -> None:
        if event.kind == "escalated":
            system.spawn("half started", root, leaves=None, seen_from=system.time + 0.5)

    result = kill_tree(root.pid, grace=0, on_event=fork)
    assert fates(result) == {"half started": Fate.KILLED, "root": Fate.KILLED}
    assert system.living() == set()
    assert Evidence.DESCENDANT in result.verified


def test_where_a_stop_is_not_proved_no_descendants_are_verified(system: FakeSystem) -> None:
    root = system.spawn("root", leaves=None, stops=None, leads=True)
    result = kill_tree(root.pid, grace=0)
    assert fates(result) == {"root": Fate.KILLED}
    assert result.verified == (Evidence.SESSION,)
    assert result.seconds < SETTLE / 2


def test_events_come_in_the_order_in_which_things_happen(system: FakeSystem) -> None:
    root = system.spawn("root", leaves=None)
    system.spawn("child", root, leaves=0.25)
    events: list[KillEvent] = []
    kill_tree(root.pid, grace=GRACE, on_event=events.append)
    assert [(event.kind, event.remaining) for event in events] == [
        ("asked", 2),
        ("gone", 1),
        ("escalated", 1),
        ("gone", 0),
        ("settled", 0),
    ]
    assert [event.identity and event.identity.pid for event in events][1::2] == [
        root.pid + 1,
        root.pid,
    ]
    assert [event.seconds for event in events] == sorted(event.seconds for event in events)


def test_a_member_found_later_is_reported_with_its_identity(system: FakeSystem) -> None:
    root = system.spawn("root", leaves=None)
    system.at(1.0, lambda: system.spawn("late", root, leaves=None))
    events: list[KillEvent] = []
    kill_tree(root.pid, grace=GRACE, on_event=events.append)
    found = [event for event in events if event.kind == "found"]
    assert [(event.identity and event.identity.pid, event.remaining) for event in found] == [
        (root.pid + 1, 2)
    ]


def test_no_event_comes_between_freeze_and_kill(system: FakeSystem) -> None:
    root = stubborn_family(system)
    system.at(GRACE + TICK, lambda: system.spawn("late", root, leaves=None))
    kill_tree(root.pid, grace=GRACE, on_event=listener(system))
    verbs = system.verbs()
    freeze, kill = verbs.index("freeze"), verbs.index("kill")
    assert verbs[freeze - 1] == "event escalated"
    assert {*verbs[freeze:kill]} == {"freeze"}
    assert "event found" in verbs[kill:]


def test_a_member_that_cannot_be_frozen_holds_no_event_back(system: FakeSystem) -> None:
    root = system.spawn("root", leaves=None, dies=1.0)
    system.spawn("setuid", root, leaves=None, refuses=("freeze", "kill"))
    system.spawn("child", root, leaves=None)
    start = system.time
    kill_tree(root.pid, grace=0, on_event=listener(system))
    told = [act.time - start for act in system.acts("event gone")]
    assert told[0] < FEW
    assert told[1] >= 1.0


@pytest.mark.parametrize("method", ["freeze", "last_start", "kill", "wait"])
def test_a_frozen_member_is_continued_when_a_step_raises(system: FakeSystem, method: str) -> None:
    root = stubborn_family(system)
    system.raises[method] = OSError("broken")
    with pytest.raises(OSError, match="broken"):
        kill_tree(root.pid, grace=0)
    assert [
        process.name for process in system.processes.values() if system.stopped(process.pid)
    ] == []
    assert system.closed


def test_a_member_that_is_frozen_but_not_killed_is_continued(system: FakeSystem) -> None:
    root = stubborn_family(system)
    odd = system.spawn("odd", root, leaves=None, refuses=("kill",))
    result = kill_tree(root.pid, grace=0)
    assert fates(result)["odd"] is Fate.DENIED
    assert not odd.stopped


def test_a_survivor_that_was_killed_is_not_continued(system: FakeSystem) -> None:
    root = system.spawn("root", leaves=None, dies=None)
    kill_tree(root.pid, grace=0, settle=SETTLE)
    assert "root" not in system.names("release")


def test_a_parent_outside_the_tree_that_stopped_with_its_child_is_continued(
    system: FakeSystem,
) -> None:
    su = system.spawn("su", notices=0.0)
    kill_tree(system.spawn("root", su, leaves=None).pid, grace=0)
    assert system.names("release") == ["su"]
    assert not su.stopped


def test_a_parent_that_does_not_stop_is_left_alone(system: FakeSystem) -> None:
    shell = system.spawn("shell")
    kill_tree(system.spawn("root", shell, leaves=None).pid, grace=0)
    assert "shell" not in system.names("release")


def test_a_parent_has_a_moment_to_notice_before_its_child_dies(system: FakeSystem) -> None:
    su = system.spawn("su", notices=0.03125)
    result = kill_tree(system.spawn("root", su, leaves=None).pid, grace=0)
    assert system.names("release") == ["su"]
    assert not su.stopped
    assert 0.03125 <= result.seconds < 0.03125 + FEW


def test_a_parent_that_does_not_notice_delays_the_kill_briefly(system: FakeSystem) -> None:
    su = system.spawn("su", notices=60.0)
    result = kill_tree(system.spawn("root", su, leaves=None).pid, grace=0)
    assert result.ok
    assert result.seconds < 0.25


def test_a_parent_that_was_stopped_before_stays_so(system: FakeSystem) -> None:
    su = system.spawn("su", notices=0.0, stopped=True)
    kill_tree(system.spawn("root", su, leaves=None).pid, grace=0)
    assert su.stopped


@pytest.mark.parametrize("method", ["ask", "freeze", "kill", "wait", "children", "release"])
def test_a_call_that_fails_once_is_made_again(
    system: FakeSystem, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        monkeypatch.undo()
        raise OSError(errno.ENOMEM, "no memory")

    def arm(event: KillEvent) -> None:
        if event.kind == ("asked" if method != "ask" else "found"):
            monkeypatch.setattr(system, method, fail)

    root = stubborn_family(system)
    if method == "ask":
        monkeypatch.setattr(system, method, fail)
    result = kill_tree(root.pid, grace=GRACE, on_event=arm)
    assert result.ok
    assert system.living() == set()
    assert {outcome.signals.count("SIGTERM") for outcome in result.outcomes} == {1}


def test_the_parent_is_continued_even_when_a_step_raises(system: FakeSystem) -> None:
    su = system.spawn("su", notices=0.0)
    root = system.spawn("root", su, leaves=None)
    system.raises["kill"] = OSError("broken")
    with pytest.raises(OSError, match="broken"):
        kill_tree(root.pid, grace=0)
    assert not su.stopped


def test_an_excluded_root_that_stopped_with_its_child_is_continued(system: FakeSystem) -> None:
    su = system.spawn("su", notices=0.0)
    system.spawn("shell", su, leaves=None)
    result = kill_tree(su.pid, grace=0, include_root=False)
    assert fates(result) == {"shell": Fate.KILLED}
    assert not su.stopped


def test_a_spared_parent_that_stopped_with_its_child_is_continued(system: FakeSystem) -> None:
    su = system.spawn("su", notices=0.0)
    shell = system.spawn("shell", su, leaves=None)
    kill_tree([su.pid, shell.pid], grace=0, spare=[su.pid])
    assert not su.stopped


def test_a_whole_session_that_may_die_is_signalled_as_a_group(system: FakeSystem) -> None:
    root = stubborn_family(system, leads=True)
    kill_tree(root.pid, grace=0)
    assert [act.groups for act in system.acts("freeze")] == [("root",)]
    assert [act.groups for act in system.acts("kill")] == [("root",)]


def own_session(system: FakeSystem, root: Process) -> dict[str, Any]:
    system.caller.sid = root.pid
    return {}


ALONE: dict[str, tuple[bool, Callable[[FakeSystem, Process], dict[str, Any]]]] = {
    "the root leads no session": (False, lambda *_: {}),
    "the root is not to die": (True, lambda *_: {"include_root": False}),
    "a child is spared": (True, lambda _, root: {"spare": [root.pid + 1]}),
    "the caller is in that session": (True, own_session),
}


@pytest.mark.parametrize("why", ALONE)
def test_no_group_is_signalled_where(system: FakeSystem, why: str) -> None:
    leads, options = ALONE[why]
    root = stubborn_family(system, leads=leads)
    kill_tree(root.pid, grace=0, **options(system, root))
    assert [act.groups for act in system.acts("freeze")] == [()]
    assert [act.groups for act in system.acts("kill")] == [()]


def test_a_member_spared_while_its_group_is_frozen_is_not_left_stopped(
    system: FakeSystem,
) -> None:
    root = stubborn_family(system, leads=True)
    savers: list[Process] = []

    def spawn(event: KillEvent) -> None:
        if event.kind == "escalated":
            savers.append(system.spawn("saver", root))

    result = kill_tree(
        root.pid, grace=0, spare=lambda member: member.name == "saver", on_event=spawn
    )
    assert fates(result)["saver"] is Fate.SPARED
    assert [(process.death, process.stopped) for process in savers] == [(None, False)]


@pytest.mark.parametrize("evidence", ["marker", "session", "group"])
def test_a_child_that_a_spared_process_starts_during_a_scan_is_spared(
    system: FakeSystem, monkeypatch: pytest.MonkeyPatch, evidence: str
) -> None:
    leads: dict[str, Any] = {"session": {"leads": True}, "group": {"groups": True}}.get(
        evidence, {}
    )
    root = system.spawn("root", environment=MARK, **leads)
    spared = system.spawn("spared", root, environment=MARK)
    candidates = system.candidates

    def start_one(*_: object, **__: object) -> Iterable[int]:
        """Start a child when the children have been listed."""
        monkeypatch.setattr(system, "candidates", candidates)
        return [system.spawn("late", spared, environment=MARK).pid]

    monkeypatch.setattr(system, "candidates", start_one)
    marker = "MARK=1" if evidence == "marker" else None
    result = kill_tree(root.pid, grace=GRACE, marker=marker, spare=[spared.pid])
    late = next(outcome for outcome in result.outcomes if outcome.name == "late")
    assert (late.fate, late.signals) == (Fate.SPARED, ())
    assert system.living() == {"spared", "late"}


def test_the_spared_and_their_descendants_are_never_signalled(system: FakeSystem) -> None:
    root = stubborn_family(system)
    spared = system.spawn("spared", root)
    system.spawn("below", spared)
    result = kill_tree(root.pid, grace=GRACE, spare=[spared.pid])
    assert system.living() == {"spared", "below"}
    assert not {"spared", "below"} & {
        name for verb in ("ask", "freeze", "kill") for name in system.names(verb)
    }
    assert result.ok


@pytest.mark.parametrize("leads", [False, True])
def test_what_a_member_starts_as_the_signal_comes_is_asked_too(
    system: FakeSystem, monkeypatch: pytest.MonkeyPatch, *, leads: bool
) -> None:
    root = system.spawn("root", leads=leads)

    def die(members: Iterable[Member], _: str) -> None:
        for member in members:
            member.response = DIES

    def after_a_fork(act: Callable[..., Any]) -> Callable[..., Any]:
        def do(*arguments: Any) -> Any:  # noqa: ANN401 - that of the call
            if root.death is None and "late" not in system.living():
                system.spawn("late", root)
            return act(*arguments)

        return do

    monkeypatch.setattr(system, "read_responses", die)
    for call in ("freeze", "ask"):
        monkeypatch.setattr(system, call, after_a_fork(getattr(system, call)))
    result = kill_tree(root.pid, grace=GRACE)
    assert result.ok
    assert not system.living()
    stops = [] if leads else ["SIGSTOP"]  # a session shows an orphan
    assert result.root
    assert result.root.signals == (*stops, "SIGTERM")
    assert fates(result)["late"] is (Fate.KILLED if leads else Fate.TERMINATED)


@pytest.mark.parametrize("births", [1, LAST_LOOKS])
def test_what_is_born_while_a_request_is_prepared_is_asked_too(
    system: FakeSystem, monkeypatch: pytest.MonkeyPatch, births: int
) -> None:
    root = system.spawn("root")
    system.spawn("child", root)
    read, names = system.read_responses, [f"late {number}" for number in range(births)]
    unborn = iter(names)

    def read_late(members: Iterable[Member], signal_name: str) -> None:
        if name := next(unborn, None):
            system.spawn(name, root)
        read(members, signal_name)

    monkeypatch.setattr(system, "read_responses", read_late)
    result = kill_tree(root.pid, grace=GRACE)
    assert fates(result) == dict.fromkeys(("root", "child", *names), Fate.TERMINATED)
    assert not system.living()


def test_a_listener_that_raises_is_logged_once_and_not_called_again(
    system: FakeSystem, caplog: pytest.LogCaptureFixture
) -> None:
    root = stubborn_family(system)
    calls: list[KillEvent] = []

    def broken(event: KillEvent) -> None:
        calls.append(event)
        raise LookupError

    with caplog.at_level(logging.DEBUG, "proctree_kill"):
        result = kill_tree(root.pid, grace=GRACE, on_event=broken)
    assert len(calls) == 1
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert result.ok
    assert system.living() == set()


def test_what_a_predicate_raises_to_end_the_program_waits_for_the_end(
    system: FakeSystem,
) -> None:
    root = stubborn_family(system)

    def spawn(event: KillEvent) -> None:
        if event.kind == "asked":
            system.spawn("late", root)

    def refuses(member: TreeMember) -> bool:
        if member.name == "late":
            raise SystemExit(7)
        return False

    with pytest.raises(SystemExit, match="7"):
        kill_tree(root.pid, grace=GRACE, spare=refuses, on_event=spawn)
    assert system.living() == {"late"}
    assert "late" not in {name for verb in ("ask", "kill") for name in system.names(verb)}


def test_what_a_predicate_raises_before_anything_is_touched_is_raised_at_once(
    system: FakeSystem,
) -> None:
    root = stubborn_family(system)

    def refuses(_: TreeMember) -> bool:
        raise SystemExit(7)

    with pytest.raises(SystemExit, match="7"):
        kill_tree(root.pid, grace=GRACE, spare=refuses)
    assert not system.acts("ask")


def test_the_time_of_a_listener_counts_against_the_grace(system: FakeSystem) -> None:
    root = stubborn_family(system)
    start = system.time

    def slow(event: KillEvent) -> None:
        if event.kind == "asked":
            system.time += 1.5

    kill_tree(root.pid, grace=GRACE, on_event=slow)
    assert GRACE <= system.acts("freeze")[0].time - start < GRACE + FEW


def test_a_listener_may_ask_for_the_force(system: FakeSystem) -> None:
    root = stubborn_family(system)
    start = system.time
    kill_tree(root.pid, grace=GRACE, on_event=lambda _: system.hurry())
    assert system.acts("freeze")[0].time - start < FEW


def test_a_hurry_ends_a_wait_at_once(system: FakeSystem) -> None:
    root = stubborn_family(system)
    start = system.time
    system.at(0.5, system.hurry)
    result = kill_tree(root.pid, grace=GRACE)
    assert 0.5 <= system.acts("freeze")[0].time - start < 0.5 + FEW
    assert result.ok


def test_what_was_looked_at_is_verified(system: FakeSystem) -> None:
    plain, leader = system.spawn("plain"), system.spawn("leader", leads=True)
    marked = system.spawn("marked", environment=frozenset({b"MARK=1"}))
    assert kill_tree(plain.pid).verified == (Evidence.DESCENDANT,)
    assert kill_tree(leader.pid).verified == (Evidence.DESCENDANT, Evidence.SESSION)
    assert set(kill_tree(marked.pid, marker="MARK=1").verified) == {
        Evidence.DESCENDANT,
        Evidence.SESSION,
        Evidence.MARKER,
    }


def test_an_environment_that_is_hidden_for_a_moment_is_read_then(system: FakeSystem) -> None:
    root = system.spawn("root", leaves=None)
    daemon = system.spawn("daemon", hides=True, environment=MARK)
    system.at(0.125, lambda: vars(daemon).update(hides=False))
    result = kill_tree(root.pid, grace=0, marker="MARK=1")
    assert fates(result) == {"root": Fate.KILLED, "daemon": Fate.KILLED}
    assert Evidence.MARKER in result.verified


def test_an_environment_that_stays_hidden_puts_the_marker_in_doubt(system: FakeSystem) -> None:
    root = system.spawn("root", leaves=None, leads=True)
    system.spawn("daemon", hides=True, environment=MARK)
    result = kill_tree(root.pid, grace=0, marker="MARK=1")
    assert result.ok
    assert set(result.verified) == {Evidence.DESCENDANT, Evidence.SESSION}
    assert HIDDEN_TIME <= result.seconds < 2 * HIDDEN_TIME


def test_a_hidden_process_that_is_older_than_the_marker_carries_none(
    system: FakeSystem,
) -> None:
    system.spawn("agent", hides=True)
    system.time += 1
    tree = Tree(system, Aim([], [*MARK], since=system.start_clock()))
    assert scan(tree) == []
    assert tree.verified == DESCENDANT | SESSION | MARKER
    system.spawn("agent", hides=True)
    assert scan(tree) == []
    assert tree.verified == DESCENDANT | SESSION


def test_where_the_kernel_keeps_the_tree_no_hidden_environment_is_in_doubt(
    system: FakeSystem,
) -> None:
    system.spawn("agent", hides=True)
    cell: Any = SimpleNamespace(kind="cgroup", pids=list)
    tree = Tree(system, Aim([], [*MARK], cells=[cell]))
    scan(tree)
    assert tree.proved
    assert tree.verified & MARKER


def test_nothing_is_verified_while_a_process_lives(system: FakeSystem) -> None:
    root = system.spawn("root", leaves=None, dies=None)
    result = kill_tree(root.pid, grace=0, settle=SETTLE)
    assert not result.ok
    assert result.verified == ()


def test_where_scans_are_disturbed_the_group_is_forced_and_its_session_not_verified(
    system: FakeSystem,
) -> None:
    system.disturbed = True
    root = system.spawn("root", leads=True)
    result = kill_tree(root.pid, grace=GRACE)
    assert ((), ("root",)) in [(act.names, act.groups) for act in system.acts("freeze")]
    assert ((), ("root",)) in [(act.names, act.groups) for act in system.acts("kill")]
    assert fates(result) == {"root": Fate.TERMINATED}
    assert result.verified == ()


class Owner(SimpleNamespace):
    """An owner with a pid, an input and a return code, as Popen; and the other end of the pipe."""


def owner_of(process: Process) -> Owner:
    """Return the owner of a process, with a pipe to its standard input and that pipe's end."""
    if not has("reading what is there"):
        pytest.skip("this machine reads no pipe without waiting")
    reading, writing = os.pipe()
    stdin = os.fdopen(writing, "wb", buffering=0)
    return Owner(pid=process.pid, returncode=None, stdin=stdin, reading=reading)


def is_closed(owner: Owner) -> bool:
    """Whether the writing end of the pipe is closed; close everything."""
    os.set_blocking(owner.reading, False)
    try:
        return os.read(owner.reading, 1) == b""
    except BlockingIOError:
        return False
    finally:
        os.close(owner.reading)
        owner.stdin.close()


def test_the_input_is_closed_first_and_has_its_share(system: FakeSystem) -> None:
    root = system.spawn("root")
    owner, start = owner_of(root), system.time
    result = kill_tree(owner, grace=GRACE)
    assert is_closed(owner)
    assert 0 < system.acts("ask")[0].time - start < GRACE
    assert result.ok


def test_the_input_of_a_root_that_is_not_to_die_stays_open(system: FakeSystem) -> None:
    root = stubborn_family(system)
    owner = owner_of(root)
    kill_tree(owner, grace=GRACE, include_root=False)
    assert not is_closed(owner)


def test_the_input_of_a_spared_root_stays_open(system: FakeSystem) -> None:
    owner, other = owner_of(system.spawn("root")), system.spawn("other root")
    result = kill_tree([owner, other.pid], grace=GRACE, spare=[owner.pid])
    assert fates(result) == {"root": Fate.SPARED, "other root": Fate.TERMINATED}
    assert not is_closed(owner)


def test_the_input_stays_open_where_the_force_begins_at_once(system: FakeSystem) -> None:
    owner = owner_of(stubborn_family(system))
    kill_tree(owner, grace=0)
    assert not is_closed(owner)


def test_a_target_that_is_gone_is_no_error(system: FakeSystem) -> None:
    root = system.spawn("root", reaped=True, death=0.0)
    result = kill_tree(root.pid)
    assert [outcome.fate for outcome in result.outcomes] == [Fate.ALREADY_GONE]
    assert result.ok


def test_a_zombie_is_already_gone_and_its_children_are_not(system: FakeSystem) -> None:
    root = system.spawn("root", leads=True)
    system.spawn("child", root)
    system.die(root)
    result = kill_tree(root.pid, grace=GRACE)
    assert fates(result) == {"child": Fate.TERMINATED, "root": Fate.ALREADY_GONE}


def test_several_targets_share_one_deadline(system: FakeSystem) -> None:
    stuck = [system.spawn(name, leaves=None, dies=None) for name in ("one", "two", "three")]
    result = kill_tree([process.pid for process in stuck], grace=GRACE, settle=SETTLE)
    assert result.seconds < GRACE + SETTLE + FEW
    assert len(result.survivors) == 3


def spawn(system: FakeSystem, parent: Process, name: str) -> None:
    """Let a process have a child, if it can."""
    if parent.death is None and not parent.stopped:
        system.spawn(name, parent, leaves=None)


def test_what_a_name_spares_keeps_what_is_below_it(system: FakeSystem) -> None:
    root = system.spawn("root")
    daemon = system.spawn("daemon", root)
    system.spawn("worker", daemon)
    system.spawn("other", root)
    result = kill_tree(root.pid, grace=GRACE, spare=["daemon"])
    assert system.living() == {"daemon", "worker"}
    assert {outcome.name: outcome.spared for outcome in result.outcomes} == {
        "daemon": "by its name daemon",
        "worker": f"below {daemon.pid}",
        "root": None,
        "other": None,
    }


def test_what_becomes_a_spared_program_is_not_asked(system: FakeSystem) -> None:
    root = system.spawn("root", leaves=0.5)
    child = system.spawn("child", root)
    system.spawn("below", child)
    system.at(0.25, partial(setattr, child, "name", "daemon"))
    events: list[KillEvent] = []
    result = kill_tree(root.pid, grace=GRACE, spare=["daemon"], on_event=events.append)
    assert system.living() == {"daemon", "below"}
    assert system.names("ask") == ["root"]
    assert [outcome.spared for outcome in result.outcomes if outcome.spared] == [
        f"below {child.pid}",
        "by its name daemon",
    ]
    assert events[-1].remaining == 0


@pytest.mark.parametrize("grace", [0, GRACE])
def test_what_becomes_a_spared_program_is_not_forced(system: FakeSystem, grace: float) -> None:
    root = system.spawn("root", leaves=None)
    child = system.spawn("child", root, leaves=None)
    system.at(grace and GRACE / 2, partial(setattr, child, "name", "daemon"))
    result = kill_tree(root.pid, grace=grace, terminate="tree", spare=["daemon"])
    assert system.living() == {"daemon"}
    assert "daemon" not in {*system.names("freeze"), *system.names("kill")}
    assert not child.stopped
    assert [outcome.signals for outcome in result.outcomes if outcome.fate is Fate.SPARED] == [
        ("SIGTERM",) if grace else ()
    ]


@pytest.mark.parametrize("grace", [0, GRACE])
def test_what_becomes_a_spared_program_while_it_is_stopped_runs_on(
    system: FakeSystem, monkeypatch: pytest.MonkeyPatch, grace: float
) -> None:
    root = system.spawn("root", leaves=None)
    child = system.spawn("child", root)
    below = system.spawn("below", child)
    freeze = system.freeze

    def execute(members: Iterable[Member], groups: Iterable[Member]) -> object:
        child.name = "daemon"  # SIGSTOP waits for the end of execve(2)
        return freeze(members, groups)

    def respond(members: Iterable[Member], _: str) -> None:
        for member in members:
            member.response = DIES

    monkeypatch.setattr(system, "freeze", execute)
    monkeypatch.setattr(system, "read_responses", respond)
    result = kill_tree(root.pid, grace=grace, terminate="tree", spare=["daemon"])
    assert system.living() == {"daemon", "below"}
    assert not any(process.stopped for process in (child, below))
    assert {"daemon", "below"}.isdisjoint({*system.names("ask"), *system.names("kill")})
    verbs = [act.verb for act in system.log if act.verb == "kill" or "daemon" in act.names]
    assert verbs[-2:] == ["release", "kill"]
    assert fates(result) == {"root": Fate.KILLED, "child": Fate.SPARED, "below": Fate.SPARED}


@pytest.mark.parametrize("spare", [["daemon"], lambda member: member.name == "daemon"])
def test_a_spared_process_keeps_a_child_that_was_found_before_it(
    system: FakeSystem, spare: Spare
) -> None:
    root = system.spawn("root")
    daemon = system.spawn("daemon", root)
    worker = system.spawn("worker", daemon)
    system.spawn("below", worker)
    system.die(root)
    target = snapshot_of(worker, daemon)
    result = kill_tree(target, grace=GRACE, spare=spare)
    assert system.living() == {"daemon", "worker", "below"}
    assert {outcome.name: outcome.fate for outcome in result.outcomes} == dict.fromkeys(
        system.living(), Fate.SPARED
    )


def test_what_a_snapshot_spares_survives_the_kill_of_its_group(system: FakeSystem) -> None:
    root = system.spawn("root", leads=True)
    child = system.spawn("spared", root)
    target = snapshot_of(root, child, spared="by the caller")
    kill_tree(target, grace=0)
    assert system.living() == {"spared"}
    assert not any(act.groups for act in system.log)


def test_a_target_that_is_named_by_itself_is_ended_below_a_spared_process(
    system: FakeSystem,
) -> None:
    root = system.spawn("daemon")
    worker = system.spawn("worker", root)
    kill_tree([worker.pid, root.pid], grace=GRACE, spare=["daemon"])
    assert system.living() == {"daemon"}


def snapshot_of(*processes: Process, spared: str | None = None) -> TreeSnapshot:
    """Return a snapshot of descendants, in this order; the last may be spared."""
    identities = [
        ProcessIdentity(pid=process.pid, boot_id="boot", start=process.start)
        for process in processes
    ]
    evidence = (Evidence.DESCENDANT,)
    members = [TreeMember(identity=found, evidence=evidence, depth=1) for found in identities]
    members[-1] = members[-1].model_copy(update={"spared": spared})
    return TreeSnapshot(target=(), members=tuple(members))


@pytest.mark.parametrize("keeps_links", [False, True])
def test_the_wait_for_the_rest_ends_when_it_has_become_a_spared_program(
    system: FakeSystem, monkeypatch: pytest.MonkeyPatch, *, keeps_links: bool
) -> None:
    monkeypatch.setattr(rest, "current", lambda: system)
    system.keeps_links = keeps_links
    root = system.spawn("root")
    child = system.spawn("child", root)
    system.at(1, partial(system.die, root))
    system.at(2, partial(setattr, child, "name", "daemon"))
    start = system.time
    with RestWaiter(Aim([Claim(root.pid)], spared=sparing(["daemon"]))) as waiter:
        assert waiter.wait(lambda: start + 60)
    assert waiter.spares
    assert 2 <= system.time - start < 2 + 2 * BIRTH_PAUSE


@pytest.mark.parametrize(
    ("spare", "why"), [("daemon", "by its name daemon"), ("MARK=1", "by its marker MARK=1")]
)
def test_a_command_that_is_such_a_program_is_ended_all_the_same(
    system: FakeSystem, spare: str, why: str
) -> None:
    root = system.spawn("daemon", environment=MARK)
    system.spawn("daemon", root, environment=MARK)

    class Command(Contained):
        def aim(self) -> Aim:
            return Aim([Claim(root.pid, command=True)])

    result = kill_tree(Command(), grace=0, spare=[spare])
    assert [outcome.spared for outcome in result.outcomes] == [why, None]


@pytest.mark.parametrize("arguments", [(), ("ssh-agent",)])
def test_what_hides_its_environment_for_good_is_spared(
    system: FakeSystem, arguments: tuple[str, ...]
) -> None:
    root = system.spawn("root")
    for number in range(9):
        system.spawn(f"agent {number}", root, hides=True, arguments=arguments)
    result = kill_tree(root.pid, grace=GRACE, spare=["MARK=1"])
    assert len(system.living()) == 9
    assert {outcome.spared for outcome in result.outcomes} == {
        "its environment cannot be read",
        None,
    }
    assert result.seconds < (FEW if arguments else HIDDEN_TIME + FEW)


def test_an_environment_that_is_hidden_for_a_moment_is_read_again(system: FakeSystem) -> None:
    root = system.spawn("root")
    daemon = system.spawn("daemon", root, hides=True, environment=MARK)
    other = system.spawn("other", root, hides=True)
    for process in (daemon, other):
        system.at(HIDDEN_TIME / 2, partial(setattr, process, "hides", False))  # noqa: FBT003 - setattr's
    kill_tree(root.pid, grace=GRACE, spare=["MARK=1"])
    assert system.living() == {"daemon"}


def test_a_process_without_a_name_is_spared_if_a_name_is(system: FakeSystem) -> None:
    root = system.spawn("root")
    system.spawn("hidden", root, hides=True)
    result = kill_tree(root.pid, grace=GRACE, spare=["daemon"])
    assert [outcome.spared for outcome in result.outcomes] == ["its name cannot be read", None]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[FakeSystem, list[Process]]:
    """Draw a system with a tree beside innocent processes."""
    system = FakeSystem()
    system.spawn("innocent", leads=True)
    delays = st.none() | st.floats(0, 3)
    root = system.spawn("root", leads=draw(st.booleans()), leaves=draw(delays))
    tree = [root]
    for number in range(draw(st.integers(0, 6))):
        tree.append(
            system.spawn(
                f"member {number}",
                draw(st.sampled_from(tree)),
                leads=draw(st.booleans()),
                leaves=draw(delays),
                dies=draw(delays),
                refuses=draw(st.just(()) | st.just(("ask", "freeze", "kill"))),
            )
        )
    for number in range(draw(st.integers(0, 3))):
        parent = draw(st.sampled_from(tree))
        system.at(draw(st.floats(0, 4)), partial(spawn, system, parent, f"started {number}"))
    return system, tree


@settings(deadline=None, max_examples=100)
@given(worlds(), st.floats(0, 2), st.sets(st.integers(0, 6)))
def test_in_every_world_exactly_the_right_processes_die(
    world: tuple[FakeSystem, list[Process]], grace: float, spared: set[int]
) -> None:
    system, tree = world
    spare = [process.pid for index, process in enumerate(tree) if index in spared]
    with pytest.MonkeyPatch.context() as monkeypatch:
        use(monkeypatch, system)
        result = kill_tree(tree[0].pid, grace=grace, settle=SETTLE, spare=spare)
    reported = {outcome.identity.pid: outcome for outcome in result.outcomes}
    assert system.processes[tree[0].pid - 1].death is None
    assert system.caller.death is None
    assert result.seconds <= grace + SETTLE + FEW
    for process in system.processes.values():
        outcome = reported.get(process.pid)
        stays = outcome is None or outcome.fate in (Fate.SPARED, Fate.DENIED, Fate.SURVIVED)
        assert stays == (process.death is None)
        if outcome is not None and outcome.fate is Fate.SPARED:
            assert outcome.signals == ()
        if stays and (outcome is None or outcome.fate is not Fate.SURVIVED):
            assert not process.stopped
        if outcome is not None and outcome.fate is Fate.SURVIVED:
            assert process.dies is None or process.dies > 0
    assert {process.pid for process in tree} <= {*reported} | {
        process.pid for process in tree if process.death
    }
