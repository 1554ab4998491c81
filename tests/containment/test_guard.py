"""Real: what an owner started ends with it, however it dies."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from proctree_kill import (
    Containment,
    Evidence,
    KillResult,
    TreePopen,
    errors,
    identify,
    kill_tree,
)
from proctree_kill._containment import guard as containment_guard
from proctree_kill._containment.recalled import RecalledTree
from proctree_kill._engine.process import ExitWaiter
from proctree_kill._guard import process as guard_process
from proctree_kill._guard.process import LOOKS, GuardProcess, end
from proctree_kill._records.format import Intent, encode, intent_path
from support.callers import apart
from support.impostors import as_fifo, as_huge_file
from support.nodes import Node, chain
from support.owners import DEATHS, guarded_owner, has_ended
from support.pidfds import open_pidfd
from support.pipe_holders import PipeHolders
from support.planter import Planter
from support.threads import in_thread
from support.times import BOUND
from support.vendoring import vendored

pytestmark = pytest.mark.needs("fork", "pidfd")

FAMILY = Node(name="root", children=(chain("a", "b"),))
SLEEP = ["sleep", "1000"]


@pytest.fixture
def holders(tmp_path: Path) -> Iterator[PipeHolders]:
    """Prepare a tree with a daemon that holds a pipe."""
    with PipeHolders(tmp_path) as holders:
        yield holders


@contextlib.contextmanager
def watching() -> Iterator[tuple[GuardProcess, int, int]]:
    """Make a guard with a tree and a pipe that is at its end; the last two tell of a death."""
    (reading, writing), (death, dying) = os.pipe(), os.pipe()
    os.close(writing)
    guard = GuardProcess(reading)
    guard.trees["A=1"] = {}
    yield guard, death, dying
    for fd in (reading, death, dying):
        with contextlib.suppress(OSError):  # the test has closed it
            os.close(fd)


def stop_guard() -> int:
    """Stop the guard, and return its number once it has stopped."""
    pid = containment_guard.guard().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    return pid


def fill_pipe() -> None:
    """Fill the pipe of the guard with lines that it does not understand."""
    process = containment_guard.guard()._process
    assert process
    assert process.stdin
    os.set_blocking(process.stdin.fileno(), False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(process.stdin.fileno(), b"no JSON\n" * 512)


class TestTheOwnersDeath:
    """Every kind of death."""

    @pytest.mark.parametrize("how", ["auto", "session"])
    @pytest.mark.parametrize("death", DEATHS)
    def test_the_trees_end_and_their_records_go(
        self, tmp_path: Path, holders: PipeHolders, how: str, death: str
    ) -> None:
        with guarded_owner(tmp_path, holders, how) as owner:
            DEATHS[death](owner)
            assert holders.all_dead()
            assert has_ended(owner.second, owner.guard)
            assert not owner.record.exists()

    def test_a_stopped_guard_is_continued_and_ends_them(
        self, tmp_path: Path, holders: PipeHolders
    ) -> None:
        with guarded_owner(tmp_path, holders, "auto") as owner:
            signal.pidfd_send_signal(owner.guard, signal.SIGSTOP)
            owner.process.kill()
            assert holders.all_dead()
            assert has_ended(owner.second, owner.guard)
            assert not owner.record.exists()

    def test_an_exit_ends_them_as_well(self, holders: PipeHolders) -> None:
        script = (
            "import sys; from proctree_kill import TreePopen; "
            "from proctree_kill._containment.guard import guard; "
            "t = TreePopen(sys.argv[1:], kill_on_parent_exit=True); "
            "print(guard().pid, flush=True); input(); t.returncode = 0"
        )
        command = [sys.executable, "-c", script, *holders.argv()]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe) as owner:
            assert owner.stdout
            holders.await_started()
            guard = os.pidfd_open(int(owner.stdout.readline()))
            owner.stdout.close()
            owner.communicate(b"\n")
        assert holders.all_dead()
        assert has_ended(guard)
        os.close(guard)

    def test_a_record_of_another_tree_is_left(self, tmp_path: Path, holders: PipeHolders) -> None:
        with guarded_owner(tmp_path, holders, "auto") as owner:
            owner.record.write_text("another marker")
            owner.process.kill()
            assert has_ended(owner.guard)
            assert owner.record.exists()
        assert holders.all_dead()

    @pytest.mark.parametrize("replace", [as_fifo, as_huge_file])
    def test_a_record_that_cannot_be_read_holds_up_no_other(
        self, tmp_path: Path, holders: PipeHolders, replace: Callable[[Path], object]
    ) -> None:
        with guarded_owner(tmp_path, holders, "auto") as owner:
            told = json.loads(owner.record.read_bytes().splitlines()[1])
            intent = Intent.model_validate_json(json.dumps(told))
            intent_path(owner.record).write_bytes(encode(intent))
            replace(owner.record)
            owner.process.kill()
            assert has_ended(owner.guard, owner.second)
            assert owner.record.exists()
            assert not intent_path(owner.record).exists()
        assert holders.all_dead()

    def test_a_record_that_another_program_mentions_the_marker_in_is_left(
        self, tmp_path: Path, holders: PipeHolders
    ) -> None:
        with guarded_owner(tmp_path, holders, "auto") as owner:
            owner.record.write_bytes(b"see also: " + owner.record.read_bytes())
            owner.process.kill()
            assert has_ended(owner.guard)
            assert owner.record.exists()
        assert holders.all_dead()


@pytest.mark.parametrize(
    "said",
    [
        b"{",
        pytest.param(b"[" * 50_000, id="too deep"),
        b"\xff",
        b"[]",
        b"7",
        b'{"forget": []}',
        b'{"marker": "m"}',
        b'{"marker": {}}',
    ],
)
def test_what_it_does_not_understand_does_not_end_it(said: bytes) -> None:
    tree: dict[str, Any] = {
        "marker": "A=1",
        "cgroup": None,
        "identity": None,
        "records": [],
        "spare": [],
    }
    (reading, writing), (death, dying) = os.pipe(), os.pipe()
    os.write(writing, b"%s\n%s\n" % (said, json.dumps(tree).encode()))
    for fd in (writing, dying):
        os.close(fd)
    guard = GuardProcess(reading)
    guard.read_until(death)
    assert guard.trees == {"A=1": tree}
    for fd in (reading, death):
        os.close(fd)


class TestTheEndOfThePipe:
    """Seam: an exec of the owner closes it, and so does an owner that closes all descriptors."""

    @pytest.mark.parametrize("looks", [1, LOOKS])
    def test_an_owner_that_is_replaced_by_then_or_soon_is_dead(self, looks: int) -> None:
        answers = iter([False] * (looks - 1) + [True])
        with watching() as (guard, death, _):
            guard.read_until(death, lambda: next(answers))
        assert list(answers) == []

    def test_any_other_owner_is_waited_for(self) -> None:
        answers = []
        with watching() as (guard, death, dying):

            def is_replaced() -> bool:
                answers.append(False)
                if len(answers) == LOOKS:
                    os.close(dying)
                return False

            guard.read_until(death, is_replaced)
        assert len(answers) == LOOKS


def test_a_vendored_copy_has_a_guard(tmp_path: Path, holders: PipeHolders) -> None:
    script = (
        "import sys; from vendored_copy import TreePopen; "
        "from vendored_copy._containment.guard import guard; "
        "t = TreePopen(sys.argv[1:], kill_on_parent_exit=True); "
        "print(guard().pid, flush=True); input()"
    )
    command, pipe = [sys.executable, "-c", script, *holders.argv()], subprocess.PIPE
    environment = vendored(tmp_path)
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment) as owner:
        assert owner.stdout
        holders.await_started()
        guard = os.pidfd_open(int(owner.stdout.readline()))
        owner.kill()
    assert holders.all_dead()
    assert has_ended(guard)
    os.close(guard)


def test_trees_that_spare_other_programs_are_ended_by_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[list[str]] = []

    def note(targets: list[RecalledTree], **_: object) -> SimpleNamespace:
        ended.append([os.fsdecode(*target.aim().markers) for target in targets])
        return SimpleNamespace(ok=True)

    monkeypatch.setattr(guard_process, "kill_tree", note)
    trees: list[dict[str, Any]] = [
        {"marker": marker, "cgroup": None, "identity": None, "records": [], "spare": spare}
        for marker, spare in [("A=1", []), ("B=1", ["adb"]), ("C=1", []), ("D=1", ["adb", "x"])]
    ]
    assert {tree["marker"] for tree in end(trees)} == {"A=1", "B=1", "C=1", "D=1"}
    assert ended == [["A=1", "C=1"], ["B=1"], ["D=1"]]


def test_a_tree_that_cannot_be_ended_does_not_keep_the_others_alive(plant: Planter) -> None:
    process, tree = plant.contained(FAMILY)
    trees: list[dict[str, Any]] = [
        {"marker": marker, "cgroup": None, "identity": identity, "records": [], "spare": []}
        for marker, identity in [("A=1", {"pid": "x"}), (process.containment.marker, None)]
    ]
    assert end(trees) == trees[1:]
    assert tree.all_dead(BOUND)
    process.stop()


def test_a_tree_is_ended_though_memory_was_used_up_for_a_while(
    plant: Planter, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, tree = plant.contained(FAMILY)
    errors = [OSError(errno.ENOMEM, "Cannot allocate memory") for _ in range(3)]

    def scarce(*args: Any, **options: Any) -> KillResult:
        if errors:
            raise errors.pop()
        return kill_tree(*args, **options)

    monkeypatch.setattr(guard_process, "kill_tree", scarce)
    marker = process.containment.marker
    trees: list[dict[str, Any]] = [
        {"marker": marker, "cgroup": None, "identity": None, "records": [], "spare": []}
    ]
    assert end(trees) == trees
    assert tree.all_dead(BOUND)
    process.stop()


@pytest.mark.parametrize("call", ["__init__", "wait"])
def test_the_death_of_the_owner_is_noticed_though_memory_was_used_up_for_a_while(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    errors = [OSError(errno.ENOMEM, "Cannot allocate memory") for _ in range(3)]
    real = getattr(ExitWaiter, call)

    def scarce(*args: Any) -> object:
        if errors:
            raise errors.pop()
        found: object = real(*args)
        return found

    def scene() -> int:
        """Run a guard whose pipe a fork of the owner keeps open."""
        monkeypatch.setattr(ExitWaiter, call, scarce)
        reading, _ = os.pipe()
        os.dup2(reading, 0)
        guard_process.run(json.dumps([identify(owner.pid).model_dump(mode="json"), None]))
        return len(errors)

    with subprocess.Popen(["true"]) as owner:
        assert apart(scene) == 0


class TestTheGuard:
    """The process, and how long it lives."""

    def test_there_is_no_guard_unless_a_tree_wants_it(self) -> None:
        with TreePopen(["true"]) as process:
            assert not process.containment.parent_exit
            assert containment_guard.guard().pid is None

    def test_a_guard_serves_many_trees_and_leaves_with_the_last(self) -> None:
        first = TreePopen(SLEEP, kill_on_parent_exit=True)
        pid = containment_guard.guard().pid
        second = TreePopen(SLEEP, kill_on_parent_exit=True)
        assert first.containment.parent_exit
        assert pid == containment_guard.guard().pid is not None
        first.stop(grace=0)
        assert pid == containment_guard.guard().pid
        second.stop(grace=0)
        assert containment_guard.guard().pid is None

    def test_it_stays_where_the_root_was_left_out(self) -> None:
        process = TreePopen(SLEEP, kill_on_parent_exit=True)
        assert kill_tree(process, include_root=False).ok
        assert containment_guard.guard().pid is not None
        assert not process.containment.is_empty
        process.stop(grace=0)

    def test_it_leaves_when_a_tree_ends_by_itself(self) -> None:
        process = TreePopen(["true"], kill_on_parent_exit=True)
        process.wait()
        assert containment_guard.guard().pid is None

    def test_it_ignores_every_signal_and_has_a_session_of_its_own(self) -> None:
        with TreePopen(SLEEP, kill_on_parent_exit=True) as process:
            pid = containment_guard.guard().pid
            assert pid is not None
            assert os.getsid(pid) == pid
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                os.kill(pid, number)
            with TreePopen(SLEEP, kill_on_parent_exit=True) as other:
                assert containment_guard.guard().pid == pid
                other.stop(grace=0)
            assert psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
            assert pid not in {member.identity.pid for member in process.snapshot().members}
            process.stop(grace=0)

    def test_a_stopped_guard_is_continued_before_it_is_written_to(self) -> None:
        with TreePopen(SLEEP, kill_on_parent_exit=True) as process:
            pid = stop_guard()
            with TreePopen(SLEEP, kill_on_parent_exit=True) as other:
                assert containment_guard.guard().pid == pid
                assert os.waitid(os.P_PID, pid, os.WCONTINUED)
                other.stop(grace=0)
            process.stop(grace=0)

    @pytest.mark.parametrize("found", ["replaced", "refused"])
    def test_a_guard_that_does_not_read_is_replaced_or_the_start_is_refused(
        self, found: str, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        process, tree = plant.contained(FAMILY, kill_on_parent_exit=True)
        monkeypatch.setattr(containment_guard, "READ_TIME", 0.01)
        monkeypatch.setattr(signal, "SIGCONT", signal.SIGURG)  # it stays stopped, as if frozen
        pid = stop_guard()
        fill_pipe()
        if found == "replaced":
            with TreePopen(SLEEP, kill_on_parent_exit=True) as other:
                assert containment_guard.guard().pid not in (pid, None)
                other.stop(grace=0)
        else:
            with monkeypatch.context() as patch:
                patch.setattr(sys, "executable", "")
                with pytest.raises(errors.ContainmentError, match="needs a Python"):
                    TreePopen(["touch", tmp_path / "made"], kill_on_parent_exit=True)
            assert not (tmp_path / "made").exists()
        monkeypatch.undo()
        assert process.stop(grace=0).ok
        assert tree.all_dead()
        assert containment_guard.guard().pid is None

    def test_a_handler_that_needs_it_never_waits_for_the_code_that_it_interrupted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        handled: list[object] = []
        before = threading.current_thread()

        def start_another(*_: object) -> None:
            call = in_thread(lambda: TreePopen(SLEEP, kill_on_parent_exit=True))
            handled.append(call())

        def told(*arguments: object) -> None:
            if not handled:
                monkeypatch.undo()
                signal.raise_signal(signal.SIGUSR1)  # the main thread handles it
            return send(*arguments)  # type: ignore[arg-type] # what it was called with

        send = containment_guard.Guard._write
        previous = signal.signal(signal.SIGUSR1, start_another)
        try:
            monkeypatch.setattr(containment_guard.Guard, "_write", told)
            process = TreePopen(SLEEP, kill_on_parent_exit=True)
            assert threading.current_thread() is before
            assert process.stop(grace=0).ok
            (other,) = handled
            assert isinstance(other, TreePopen)
            assert other.stop(grace=0).ok
        finally:
            signal.signal(signal.SIGUSR1, previous)

    def test_a_killed_guard_is_followed_by_another_that_knows_everything(
        self, plant: Planter
    ) -> None:
        process, tree = plant.contained(FAMILY, kill_on_parent_exit=True)
        pid = containment_guard.guard().pid
        assert pid is not None
        descriptor = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        assert has_ended(descriptor)
        os.close(descriptor)
        with TreePopen(SLEEP, kill_on_parent_exit=True) as other:
            assert containment_guard.guard().pid not in (pid, None)
            other.stop(grace=0)
        assert process.stop(grace=0).ok
        assert tree.all_dead()

    def test_a_forked_child_has_its_own(self, plant: Planter) -> None:
        def scene() -> int | None:
            assert containment_guard.guard().pid is None
            with TreePopen(SLEEP, kill_on_parent_exit=True) as process:
                pid = containment_guard.guard().pid
                process.stop(grace=0)
            return pid

        process, _ = plant.contained(FAMILY, kill_on_parent_exit=True)
        pid = containment_guard.guard().pid
        other = apart(scene)
        assert other
        assert other != pid
        with contextlib.suppress(ProcessLookupError):
            descriptor = open_pidfd(other)
            assert has_ended(descriptor)
            os.close(descriptor)
        assert psutil.pid_exists(pid or 0)
        process.stop(grace=0)

    def test_a_program_that_cannot_be_started_leaves_none(self) -> None:
        with pytest.raises(FileNotFoundError):
            TreePopen(["/nonexistent/program"], kill_on_parent_exit=True)
        assert containment_guard.guard().pid is None

    def test_a_containment_has_it_too(self, holders: PipeHolders) -> None:
        containment = Containment.prepare(kill_on_parent_exit=True)
        assert containment.parent_exit
        process = subprocess.Popen(holders.argv(), **containment.popen_kwargs())
        containment.attach(process)
        holders.await_started()
        assert kill_tree(containment, grace=0).ok
        assert process.wait(BOUND) == -9
        assert containment_guard.guard().pid is None


@pytest.mark.parametrize("executable", ["", "/nonexistent/python", "/bin/echo", "/bin/cat"])
def test_what_is_no_python_is_refused_before_anything_runs(
    executable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(errors.ContainmentError, match="guard"):
        TreePopen(["touch", tmp_path / "made"], kill_on_parent_exit=True)
    assert list(tmp_path.iterdir()) == []
    assert containment_guard.guard().pid is None


def test_a_frozen_program_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(errors.ContainmentError, match="kill_on_parent_exit"):
        TreePopen(["true"], kill_on_parent_exit=True)


def test_it_leaves_though_the_last_scan_may_have_missed_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = TreePopen(SLEEP, kill_on_parent_exit=True)
    monkeypatch.setattr("proctree_kill._engine.scan._group_outlives_members", lambda _: True)
    result = process.stop(grace=0)
    assert result.ok
    assert result.verified == (Evidence.DESCENDANT,)
    assert containment_guard.guard().pid is None


@pytest.mark.needs("cgroup")
def test_it_leaves_though_the_dying_keep_the_cgroup(monkeypatch: pytest.MonkeyPatch) -> None:
    process = TreePopen(["true"], kill_on_parent_exit=True)
    with monkeypatch.context() as patch:
        patch.setattr("proctree_kill._systems.linux.cgroup.TreeCgroup.remove", lambda _: False)
        process.wait()
    assert containment_guard.guard().pid is None
