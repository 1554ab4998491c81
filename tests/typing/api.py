"""Typed calls of the public names: a type checker reads them, nothing runs them."""

from __future__ import annotations

import asyncio
import multiprocessing
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, assert_type

import psutil

import proctree_kill
from proctree_kill import (
    CompletedTree,
    Containment,
    Evidence,
    Fate,
    KillEvent,
    KillPolicy,
    KillResult,
    Limits,
    ProcessIdentity,
    ProcessOutcome,
    RecordOutcome,
    RecoveryReport,
    Session,
    SessionEvent,
    SessionManager,
    SessionState,
    SpareCandidate,
    StopResult,
    Target,
    TreeMember,
    TreePopen,
    TreeSnapshot,
    Usage,
    __version__,
    akill_tree,
    arecover,
    arun,
    errors,
    identify,
    kill_tree,
    recover,
    run,
    snapshot_tree,
)
from proctree_kill.fleet import Fleet, FleetEvent, FleetRecovery, FleetSession


def whatever_has_a_pid(
    popen: subprocess.Popen[bytes],
    text: subprocess.Popen[str],
    found: psutil.Process,
    awaited: asyncio.subprocess.Process,
    worker: multiprocessing.Process,
) -> None:
    """An object of any library that has a pid is a target."""
    kill_tree(popen)
    kill_tree(text)
    kill_tree(found)
    kill_tree(awaited)
    kill_tree(worker)


def values(identity: ProcessIdentity, snapshot: TreeSnapshot, other: TreeSnapshot) -> None:
    """A number and what the library returned are targets, and so is a sequence."""
    kill_tree(1234)
    kill_tree(identity)
    kill_tree(snapshot)
    kill_tree([1234, identity])
    kill_tree((snapshot, other, 1234))


def end_all(targets: Target, more: Sequence[subprocess.Popen[bytes]]) -> None:
    """A wrapper names its argument ``Target``."""
    kill_tree(targets)
    end_all(more, [])
    end_all([1234, *more], [])
    end_all("1234", [])  # pyright: ignore[reportArgumentType] -- must be refused
    assert_type(len(__version__), int)


def look(snapshot: TreeSnapshot, stop: StopResult, report: RecoveryReport) -> None:
    """Every result has ``ok`` and can be looked at."""
    done = run(["true"])
    for result in (kill_tree(1234), snapshot, stop, report, done):
        assert_type(result.ok, bool)
        assert_type(result.summary(), str)
        assert_type(result.render(80, ascii_only=True), str)


def no_target() -> None:
    """Text and fractions name no process; each suppression proves that the checker says so."""
    kill_tree("1234")  # pyright: ignore[reportArgumentType] -- must be refused
    kill_tree(1.5)  # pyright: ignore[reportArgumentType] -- must be refused
    kill_tree(None)  # pyright: ignore[reportArgumentType] -- must be refused
    kill_tree(object())  # pyright: ignore[reportArgumentType] -- must be refused
    kill_tree(1234, 2.0)  # pyright: ignore[reportCallIssue] -- options have names
    kill_tree(1234, terminate="all")  # pyright: ignore[reportArgumentType] -- must be refused


def every_option(policy: KillPolicy, tell: Callable[[KillEvent], None]) -> KillResult:
    """The options replace those of the policy."""
    return kill_tree(
        1234,
        grace=2,
        settle=5.0,
        terminate="root",
        include_root=False,
        helper_timeout=5.0,
        policy=policy,
        marker="NAME=VALUE",
        shutdown=lambda: None,
        spare=[4321],
        on_event=tell,
    )


def is_gradle_daemon(candidate: SpareCandidate) -> bool:
    """Read the arguments."""
    assert_type(candidate.command_line(), tuple[str, ...] | None)
    return "GradleDaemon" in (candidate.command_line() or ())


def what_to_spare(identity: ProcessIdentity) -> None:
    """Numbers, identities, or a predicate over a member."""
    kill_tree(1234, spare=[4321, identity])
    kill_tree(1234, spare={4321})
    kill_tree(1234, spare=lambda member: member.name == "sshd")
    kill_tree(1234, spare=is_gradle_daemon)
    snapshot_tree(1234, spare=[identity], marker="NAME=VALUE", include_root=False)


async def ask() -> None:
    """A shutdown hook."""


def ask_session(session: Session) -> None:
    """A shutdown hook of a session."""


def any_session(session: Session) -> None:
    """Whatever takes a session takes each."""
    session.id  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] # noqa: B018 -- it is session_id


def ask_text(session: Session[TreePopen[str]]) -> None:
    """A shutdown hook of a session with pipes of text."""
    if session.process.stdin is not None:
        assert_type(session.process.stdin.write("quit"), int)


async def awaited(popen: subprocess.Popen[bytes], policy: KillPolicy) -> None:
    """The same, awaited."""
    assert_type(await akill_tree(popen, shutdown=ask), KillResult)
    kill_tree(popen, shutdown=ask_session)  # pyright: ignore[reportArgumentType] -- must be refused
    assert_type(await akill_tree(popen, grace=0.5, policy=policy), KillResult)
    assert_type(await akill_tree([popen, 1234], spare=[4321], marker="A=B"), KillResult)


def results() -> None:
    """The facts of a kill."""
    result = kill_tree(1234)
    assert_type(result, KillResult)
    assert_type(result.target, tuple[ProcessIdentity, ...])
    assert_type(result.outcomes, tuple[ProcessOutcome, ...])
    assert_type(result.survivors, tuple[ProcessOutcome, ...])
    assert_type(result.root, ProcessOutcome | None)
    assert_type(result.verified, tuple[Evidence, ...])
    assert_type(result.ok, bool)
    assert_type(result.forced, bool)
    assert_type(result.seconds, float)
    assert_type(result.summary(), str)
    assert_type(result.raise_for_survivors(), KillResult)
    for outcome in result.outcomes:
        assert_type(outcome.fate, Fate)
        assert_type(outcome.signals, tuple[str, ...])
        assert_type(outcome.exit_code, int | None)
        assert_type(outcome.seconds, float | None)
        assert_type(outcome.detail, str | None)


def trees() -> None:
    """The facts of a tree."""
    snapshot = snapshot_tree(1234)
    assert_type(snapshot, TreeSnapshot)
    assert_type(snapshot.members, tuple[TreeMember, ...])
    assert_type(snapshot.refusal, str | None)
    assert_type(snapshot.render(), str)
    for member in snapshot.members:
        assert_type(member.identity, ProcessIdentity)
        assert_type(member.name, str | None)
        assert_type(member.ppid, int | None)
        assert_type(member.depth, int)
        assert_type(member.evidence, tuple[Evidence, ...])
        assert_type(member.spared, str | None)


def identities() -> None:
    """The facts of a process."""
    identity = identify(1234)
    assert_type(identity, ProcessIdentity)
    assert_type(identity.pid, int)
    assert_type(identity.weak, bool)
    assert_type(identity.same_process(identity), bool | None)


def events(event: KillEvent) -> None:
    """The events of a kill."""
    assert_type(event.kind, Literal["asked", "escalated", "found", "gone", "settled"])
    assert_type(event.identity, ProcessIdentity | None)
    assert_type(event.seconds, float)
    assert_type(event.remaining, int)


def policies(config: Mapping[str, Any]) -> None:
    """The options as a value."""
    policy = KillPolicy(grace=1, settle=2.5, terminate="root", include_root=False)
    assert_type(policy.grace, float)
    assert_type(policy.terminate, Literal["top-down", "tree", "root"])
    assert_type(KillPolicy.from_config(config), KillPolicy)
    assert_type(KillPolicy.from_config(config, section="kill"), KillPolicy)
    KillPolicy(patience=1)  # pyright: ignore[reportCallIssue] -- must be refused


def sessions(broadcaster: Callable[[SessionEvent], object], *, guess: bool) -> None:
    """Agents that a manager starts and stops."""
    with SessionManager("sessions", policy=KillPolicy(), event_broadcaster=broadcaster) as manager:
        assert_type(manager, SessionManager)
        session = manager.spawn_agent("a", ["cat"], tool="claude", stdin=subprocess.PIPE)
        assert_type(session, Session[TreePopen[bytes]])
        assert_type(session.session_id, str)
        assert_type(session.pid, int | None)
        assert_type(session.state, SessionState)
        assert_type(session.identity, ProcessIdentity | None)
        assert_type(session.process, TreePopen[bytes])
        kill_tree(session)
        assert_type(session.exit_code, int | None)
        assert_type(session.result, StopResult | None)
        assert_type(manager.usage("a").peak_memory, int | None)
        assert_type(manager.sessions, Mapping[str, Session])
        assert_type(manager.sessions["a"].process, TreePopen[Any] | None)
        any_session(session)
        assert_type(manager.spawn_agent("c", "cat", text=True), Session[TreePopen[str]])
        assert_type(manager.spawn_agent("c", "cat", encoding="utf-8"), Session[TreePopen[str]])
        assert_type(manager.spawn_agent("c", "cat", errors="replace"), Session[TreePopen[str]])
        assert_type(manager.spawn_agent("c", "cat", text=guess), Session[TreePopen[Any]])
        manager.spawn_agent("c", "cat", shutdown=ask_text, text=True)
        manager.spawn_agent("c", "cat", shutdown=ask_text)  # pyright: ignore[reportArgumentType] -- its pipes are bytes
        manager.spawn_agent("b", "cat", shutdown=ask_session, spare=[4321])
        assert_type(
            manager.spawn_agent("b", "cat", idle_timeout=600, max_lifetime=8.5).touch(), None
        )
        assert_type(manager.stop_agent("a"), StopResult)
        assert_type(manager.stop_all(), dict[str, StopResult])
        assert_type(manager.recover(dry_run=True), RecoveryReport)
        manager.spawn_agent("a", "cat", shel=True)  # pyright: ignore[reportCallIssue] -- must be refused


async def awaited_sessions(manager: SessionManager) -> None:
    """The same beside an event loop."""

    async def tell(event: SessionEvent) -> None:
        assert_type(event.event, str)
        assert_type(event.state, SessionState)
        assert_type(event.reason, Literal["idle_timeout", "max_lifetime"] | None)
        assert_type(event.at, float)

    async with SessionManager("sessions", event_broadcaster=tell) as another:
        assert_type(await another.aspawn_agent("a", ["cat"]), Session[TreePopen[bytes]])
        text = await another.aspawn_agent("b", ["cat"], text=True)
        assert_type(text.process, TreePopen[str])
        assert_type(await another.astop_agent("a"), StopResult)
        assert_type(await another.astop_all(), dict[str, StopResult])
    assert_type(await manager.arecover(), RecoveryReport)


def stops(result: StopResult) -> None:
    """The results of stops."""
    assert_type(result.success, bool)
    assert_type(result.kill, KillResult | None)
    assert_type(result.error, str | None)


async def recoveries() -> None:
    """The recovery of what dead owners left."""
    report = recover("sessions", policy=KillPolicy(), dry_run=True, bare=False)
    assert_type(report, RecoveryReport)
    assert_type(report.ok, bool)
    assert_type(report.outcomes, tuple[RecordOutcome, ...])
    assert_type([outcome.session_id for outcome in report.ended], list[str])
    assert_type([outcome.detail for outcome in report.untrusted], list[str | None])
    assert_type(await arecover("sessions"), RecoveryReport)
    TreePopen(["cat"], record="sessions/session_a.pid")


def exceptions(result: KillResult) -> None:
    """What is raised, by its name and by the closest built-in."""
    try:
        kill_tree(1234)
    except errors.TargetRefusedError as refused:
        assert_type(refused.pid, int)
        assert_type(refused.reason, str)
    try:
        result.raise_for_survivors()
    except errors.SurvivorsError as survivors:
        assert_type(survivors.result, KillResult)
    wrong: ValueError = errors.PolicyError("one", "two")
    base: type[Exception] = errors.ProctreeKillError
    raise wrong from base()


def every_fate(fate: Fate) -> str:
    """The fates are these and no others: the checker knows that each one returns."""
    match fate:
        case Fate.ALREADY_GONE | Fate.TERMINATED | Fate.KILLED:
            return "dead"
        case Fate.DENIED | Fate.SURVIVED | Fate.SPARED:
            return "alive"


def by_the_package(targets: Sequence[subprocess.Popen[bytes]]) -> KillResult:
    """The names are there by attribute too."""
    return proctree_kill.kill_tree(targets)


def started() -> None:
    """TreePopen is generic as Popen is, and knows text from bytes."""
    assert_type(TreePopen(["true"]), TreePopen[bytes])
    assert_type(TreePopen("true", text=True, umask=0), TreePopen[str])
    assert_type(TreePopen(["true"], encoding="utf-8", bufsize=1), TreePopen[str])
    popen: subprocess.Popen[bytes] = TreePopen(["true"], containment="session", umask=0o22)
    TreePopen(["true"], containment="cgroup")  # pyright: ignore[reportArgumentType] -- must be refused
    with TreePopen(["true"], stdout=subprocess.PIPE, start_new_session=False) as tree:
        assert_type(tree.stop(grace=1, spare=[7]), KillResult)
        assert_type(tree.snapshot(), TreeSnapshot)
        assert_type(tree.usage(), Usage)
        assert_type(tree.identity, ProcessIdentity)
        assert_type(tree.containment, Containment)
        assert_type(tree.wait(timeout=1), int)
        kill_tree(tree)
    kill_tree(popen)


def ran() -> None:
    """So is what run returns."""
    assert_type(run(["true"]), CompletedTree[bytes])
    assert_type(run(["cat"], input="text", text=True), CompletedTree[str])
    assert_type(
        run(["cat"], input=b"bytes", capture_output=True, timeout=1.5, grace=1, check=True),
        CompletedTree[bytes],
    )
    assert_type(run(["true"], errors="replace"), CompletedTree[str])
    assert_type(TreePopen(["true"], errors="replace"), TreePopen[str])
    TreePopen(["true"], universal_newlines=True)  # pyright: ignore[reportArgumentType] -- say text
    run(["cat"], input="text")  # pyright: ignore[reportArgumentType] -- its pipes are bytes
    done = run(["true"], leftovers="wait", linger=0.5, spare=[7], record="session_a.pid")
    assert_type(done, CompletedTree[bytes])
    run(["true"], teardown=["INT 3", ("TERM", 2)], terminate="tree", settle=1)
    run(["true"], idle_timeout=600, max_lifetime=3600.5)
    run(["true"], idle_timeout="10m")  # pyright: ignore[reportArgumentType] -- must be refused
    assert_type(done.kill, KillResult | None)
    assert_type(done.usage, Usage | None)
    assert_type(done.ok, bool)
    completed: subprocess.CompletedProcess[bytes] = done
    run(completed.args, leftovers="keep")  # pyright: ignore[reportArgumentType] -- must be refused
    TreePopen(["true"], leftovers="leave", linger=1, spare=lambda member: member.depth > 1)
    run(["cat"], patience=1)  # pyright: ignore[reportCallIssue] -- there is no such option


async def ran_and_awaited(tree: TreePopen[bytes]) -> None:
    """The same, awaited."""
    assert_type(await arun(["true"], timeout=1), CompletedTree[bytes])
    assert_type(await arun(["true"], encoding="utf-8"), CompletedTree[str])
    assert_type(await arun(["true"], errors="replace"), CompletedTree[str])
    assert_type(await tree.astop(grace=0), KillResult)


def contained(process: asyncio.subprocess.Process) -> None:
    """What another library spawns."""
    containment = Containment.prepare(containment="auto")
    assert_type(containment, Containment)
    assert_type(containment.popen_kwargs({"NAME": "value"}), dict[str, Any])
    containment.attach(process)
    assert_type(containment.identity, ProcessIdentity | None)
    assert_type(containment.notes, tuple[str, ...])
    assert_type(containment.kernel, bool)
    assert_type(containment.limits, Limits)
    assert_type(kill_tree(containment), KillResult)
    assert_type(snapshot_tree(containment), TreeSnapshot)


def limits(manager: SessionManager, process: TreePopen[bytes]) -> None:
    """What a tree may use, at its start and later."""
    some = Limits(memory="2G", processes=200, cpu=1.5)
    assert_type(some.memory, int | None)
    Limits(memory=2**31, cpu=2)
    Limits(memory=1.5)  # pyright: ignore[reportArgumentType] -- must be refused
    Limits(swap="1G")  # pyright: ignore[reportCallIssue] -- must be refused
    TreePopen(["true"], limits=some)
    TreePopen(["true"], limits={"memory": "2G"})  # pyright: ignore[reportArgumentType] -- must be refused
    run(["true"], limits=some, text=True)
    manager.spawn_agent("a", ["true"], limits=some)
    Containment.prepare(limits=some)
    process.limit(memory="4G", processes=None)
    process.limit(disk="4G")  # pyright: ignore[reportCallIssue] -- must be refused
    process.containment.limit(cpu=0.5)


class ClusterClient:
    """A client of distributed, which has no types where it is not installed."""

    id: Any
    asynchronous: Any
    scheduler: Any
    sync: Any
    register_plugin: Any
    subscribe_topic: Any
    get_metadata: Any


def sessions_on_many_machines(client: ClusterClient) -> None:
    """A fleet returns values of its own."""

    def broadcast(event: FleetEvent) -> None:
        assert_type(event.host, str)

    fleet = Fleet(client, "/var/lib/agents", policy=KillPolicy(), event_broadcaster=broadcast)
    assert_type(fleet.spawn_agent("a", ["agent"], host="machine", cwd="/"), FleetSession)
    assert_type(fleet.stop_agent("a"), StopResult)
    assert_type(fleet.stop_all(), dict[str, StopResult])
    assert_type(fleet.sessions(), dict[str, FleetSession])
    assert_type(fleet.usage("a"), Usage)
    assert_type(fleet.recover(dry_run=True), FleetRecovery)
