"""Real: daemons that a session or a contained tree spares, also when its owner dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import psutil
import pytest

from proctree_kill import (
    Containment,
    Fate,
    SessionManager,
    SpareCandidate,
    TreePopen,
    arun,
    errors,
    recover,
    run,
)
from proctree_kill._containment.guard import guard
from proctree_kill._records.report import RecordFate
from support.agents import PATIENT, POLITE, files, start
from support.callers import apart
from support.daemons import MARKER, REPORT, command, contained, daemon_lives
from support.owners import has_ended
from support.planter import Planter
from support.servers import script
from support.times import LONG
from support.trees import Tree

pytestmark = pytest.mark.needs("fork", "procfs", "pidfd")

NAME = "planted-daemon-of-a-build"
BOTH = pytest.mark.parametrize("spare", [[NAME], [MARKER]], ids=["name", "marker"])


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """Remove the cgroups in which daemons outlived their owners, as the next program does."""
    yield
    apart(lambda: Containment.prepare().release())


@BOTH
def test_the_block_of_a_tree_leaves_the_daemon_with_its_cgroup_and_drops_the_record(
    plant: Planter, tmp_path: Path, spare: list[str]
) -> None:
    record = tmp_path / "session_a.pid"
    process, tree = contained(plant, command(tmp_path, NAME), spare=spare, record=record)
    assert record.exists()
    with pytest.raises(ZeroDivisionError), process:
        raise ZeroDivisionError
    assert daemon_lives(tree)
    assert not record.exists()
    cgroup = process.containment.cgroup
    assert cgroup is None or cgroup.exists()
    assert process.stop(grace=0).ok
    assert tree.all_dead()
    assert cgroup is None or not cgroup.exists()


def test_a_program_that_sets_the_variable_later_ends_its_trees_all_the_same(
    plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, tree = contained(plant, command(tmp_path, NAME), spare=[MARKER])
    with SessionManager(tmp_path / "sessions", guard=False) as manager:
        manager.spawn_agent("a", ["sleep", "1000"], spare=[MARKER])
        monkeypatch.setenv(*MARKER.split("="))
        assert manager.stop_agent("a").success
    with pytest.raises(ZeroDivisionError), process:
        raise ZeroDivisionError
    assert daemon_lives(tree)
    assert process.returncode is not None
    assert process.stop(grace=0).ok
    assert tree.all_dead()


@pytest.mark.parametrize("containment", ["auto", "session"])
def test_a_daemon_keeps_its_workers_when_the_command_has_ended(
    plant: Planter, tmp_path: Path, containment: Literal["auto", "session"]
) -> None:
    worker = script(tmp_path, "worker", REPORT.replace("daemon", "worker"))
    start = f"import os\nos.spawnl(os.P_NOWAIT, {worker!r}, 'worker')\n"
    daemon = script(tmp_path, NAME, start + REPORT)
    with plant.prepare() as prepared:
        tree = prepared.tree
        options = {**prepared.options, "stdin": subprocess.PIPE, "containment": containment}
        argv = ["sh", "-c", '"$0" & read line', daemon]
        process = tree.root = TreePopen(argv, **options, spare=[NAME], linger=0)
        with process:
            tree.await_started("worker", "daemon")
    assert daemon_lives(tree)
    assert tree.state("worker") != psutil.STATUS_ZOMBIE
    assert process.stop(grace=0).ok
    assert tree.all_dead()


@pytest.mark.parametrize("leftovers", ["end", "wait"])
def test_run_leaves_what_becomes_the_daemon_and_does_not_wait_for_it(
    plant: Planter, tmp_path: Path, leftovers: Literal["end", "wait"]
) -> None:
    shell, option, script, daemon = command(tmp_path, NAME)
    with plant.prepare() as prepared:
        argv = [shell, option, script.replace("wait", "exit 3"), daemon]
        done = run(argv, **prepared.options, spare=[NAME], leftovers=leftovers, linger=LONG)
    assert (done.returncode, done.kill) == (3, None)
    prepared.tree.await_started("daemon")
    assert daemon_lives(prepared.tree)


@BOTH
def test_the_guard_of_a_dead_owner_leaves_the_daemon(
    plant: Planter, tmp_path: Path, spare: list[str]
) -> None:
    tree = abandoned(plant, tmp_path, spare, guarded=True)
    assert daemon_lives(tree)
    assert files(tmp_path / "sessions") == set()


def test_what_a_block_has_spared_outlives_its_owner(plant: Planter, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with plant.prepare() as prepared:
        _, _, _, daemon = argv = command(tmp_path, NAME)

        def is_daemon(candidate: SpareCandidate) -> bool:
            return (candidate.command_line() or ())[-1:] == (daemon,) and candidate.depth > 0

        def start() -> None:
            options = {**prepared.options, "spare": is_daemon, "kill_on_parent_exit": True}
            with TreePopen(argv, **options) as process:
                os.write(writing, b"%d" % (guard().pid or 0))
                process.wait()
            os.write(writing, b"over")
            signal.pause()

        owner = os.fork()
        if not owner:
            _run(start)
    try:
        prepared.tree.await_started("daemon")
        guarding = os.pidfd_open(int(os.read(reading, 16)))
        os.kill(psutil.Process(prepared.tree.pids["daemon"]).ppid(), signal.SIGTERM)  # the root
        assert os.read(reading, 16) == b"over"
    finally:
        os.kill(owner, signal.SIGKILL)
        os.waitpid(owner, 0)
    assert has_ended(guarding)
    for descriptor in (reading, writing, guarding):
        os.close(descriptor)
    assert daemon_lives(prepared.tree)


@BOTH
def test_a_recovery_leaves_the_daemon_of_a_dead_owner(
    plant: Planter, tmp_path: Path, spare: list[str]
) -> None:
    tree = abandoned(plant, tmp_path, spare)
    folder = tmp_path / "sessions"
    foreseen = recover(folder, dry_run=True)
    assert [outcome.fate for outcome in foreseen.outcomes] == [RecordFate.ENDED]
    (outcome,) = recover(folder, policy=PATIENT).outcomes
    assert outcome.fate is RecordFate.ENDED
    assert outcome.kill
    fates = {found.identity.pid: found.fate for found in outcome.kill.outcomes}
    assert fates.pop(tree.pids["daemon"]) is Fate.SPARED
    assert {*fates.values()} == {Fate.TERMINATED}
    assert daemon_lives(tree)
    assert files(folder) == set()


def test_a_record_of_which_only_the_daemon_is_left_is_dropped(
    plant: Planter, tmp_path: Path
) -> None:
    tree = abandoned(plant, tmp_path, [NAME, 4711])
    folder = tmp_path / "sessions"
    root = int((folder / "session_a.pid").read_text().split()[0])
    descriptor = os.pidfd_open(root)
    os.kill(root, signal.SIGKILL)
    assert has_ended(descriptor)
    os.close(descriptor)
    (outcome,) = recover(folder, policy=PATIENT).outcomes
    assert outcome.fate is RecordFate.GONE
    assert daemon_lives(tree)
    assert files(folder) == set()


def test_another_manager_stops_by_the_record_and_leaves_the_daemon(
    plant: Planter, tmp_path: Path
) -> None:
    tree = abandoned(plant, tmp_path, [NAME])
    with SessionManager(tmp_path / "sessions", policy=PATIENT) as manager:
        assert manager.stop_agent("a").success
    assert daemon_lives(tree)


def test_a_stop_leaves_the_daemon(plant: Planter, tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    with SessionManager(folder, policy=PATIENT) as manager, plant.prepare() as prepared:
        manager.spawn_agent("a", command(tmp_path, NAME), **prepared.options, spare=[NAME])
        prepared.tree.await_started("daemon")
        result = manager.stop_agent("a")
    assert result.success
    assert result.kill
    assert [found.spared for found in result.kill.outcomes if found.spared] == [
        f"by its name {NAME}"
    ]
    assert daemon_lives(prepared.tree)
    assert files(folder) == set()


def test_a_marker_that_the_owner_carries_is_refused_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_DAEMON", "1")
    words = "carries the marker PLANTED_DAEMON, so all that it starts would be spared"
    with pytest.raises(errors.TargetRefusedError, match=words):
        run(["touch", str(tmp_path / "ran")], spare=[MARKER])
    with pytest.raises(errors.TargetRefusedError, match=words):
        Containment.prepare(spare=[MARKER])
    with (
        SessionManager(tmp_path / "sessions") as manager,
        pytest.raises(errors.TargetRefusedError, match=words),
    ):
        manager.spawn_agent("a", ["touch", str(tmp_path / "ran")], spare=[MARKER])
    assert not (tmp_path / "ran").exists()


def test_a_marker_in_the_given_environment_is_refused_before_the_start(tmp_path: Path) -> None:
    touch = ["touch", str(tmp_path / "ran")]
    options: dict[str, Any] = {"spare": [NAME, MARKER]}
    options["env"] = {**os.environ, **dict([MARKER.split("=")])}
    words = "its environment carries the marker PLANTED_DAEMON, so all that it starts"
    record = tmp_path / "sessions" / "session_b.pid"
    manager = SessionManager(tmp_path / "sessions")

    def prepare() -> None:
        Containment.prepare(spare=options["spare"]).popen_kwargs(options["env"])

    for begin in (
        lambda: run(touch, **options),
        lambda: asyncio.run(arun(touch, **options)),
        lambda: TreePopen[bytes](touch, record=record, **options),
        lambda: manager.spawn_agent("a", touch, **options),
        prepare,
    ):
        with pytest.raises(errors.TargetRefusedError, match=words):
            begin()
    assert not (tmp_path / "ran").exists()
    assert files(tmp_path / "sessions") == set()
    assert dict(manager.sessions) == {}
    options["env"]["PLANTED_DAEMON"] = "another value"
    assert run(touch, **options).returncode == 0


def test_a_predicate_that_raises_is_named_by_the_stop_that_fails(
    plant: Planter, tmp_path: Path
) -> None:
    wrong = [True]

    def is_daemon(candidate: SpareCandidate) -> bool:
        if wrong:
            raise LookupError(candidate.name)
        return False

    manager = SessionManager(tmp_path / "sessions", policy=PATIENT)
    _, tree = start(manager, plant, "a", POLITE, spare=is_daemon)
    result = manager.stop_agent("a")
    assert not result.success
    assert result.message.startswith("session a: LookupError: ")
    assert result.message.endswith(f"; the spare predicate {is_daemon!r} raised it")
    assert result.kill is None
    wrong.clear()
    assert manager.stop_agent("a").method == "terminated"
    assert tree.all_dead()


def abandoned(
    plant: Planter, tmp_path: Path, spare: Sequence[str | int], *, guarded: bool = False
) -> Tree:
    """Have an owner start a session with a daemon, and kill the owner; wait for its guard."""
    folder = tmp_path / "sessions"
    reading, writing = os.pipe()
    with plant.prepare() as prepared:
        argv = command(tmp_path, NAME)

        def start() -> None:
            manager = SessionManager(folder, guard=guarded)
            manager.spawn_agent("a", argv, **prepared.options, spare=spare)
            os.write(writing, b"%d" % (guard().pid or os.getpid()))
            signal.pause()

        owner = os.fork()
        if not owner:
            _run(start)
    try:
        prepared.tree.await_started("daemon")
        last = os.pidfd_open(int(os.read(reading, 16)))  # the guard, or the owner
    finally:
        os.kill(owner, signal.SIGKILL)
    assert has_ended(last)
    os.waitpid(owner, 0)
    for descriptor in (reading, writing, last):
        os.close(descriptor)
    return prepared.tree


def _run(start: Callable[[], None]) -> NoReturn:
    """Start in a fork, which is killed then."""
    try:
        start()
    finally:
        os._exit(1)
