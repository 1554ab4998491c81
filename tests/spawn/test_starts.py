"""Real: starts that are interrupted, fail half-way or are watched, and what is left.

Each scene runs in a forked caller: it sends itself signals and runs out of descriptors.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import Containment, SessionManager, TreePopen, errors, kill_tree, run
from support.agents import files
from support.callers import apart
from support.counts import (
    INTERRUPTED_STARTS,
    SCARCE,
    SIGNALLED_STARTS,
    STOPPED_STARTS,
    WATCHED_STARTS,
)
from support.descriptors import few_descriptors
from support.starting import (
    DELAYS,
    FORCE,
    SLEEP,
    Interruption,
    has_no_child,
    interrupt,
    interrupt_sessions,
    is_interrupted,
    own_cgroups,
    start_beside_a_handler,
    start_beside_a_stop,
    start_beside_polls,
)
from support.threads import in_thread

pytestmark = pytest.mark.needs("fork", "waitid", "procfs")

PR_SET_PDEATHSIG = 1
BOUND = 10.0  # seconds that bound a wait for a death
PATIENCE = 60.0  # seconds that bound a failure
Start = Callable[[Path], object]


def popen(_: Path) -> TreePopen[bytes]:
    return TreePopen(SLEEP)


def recorded(folder: Path) -> TreePopen[bytes]:
    return TreePopen(SLEEP, record=folder / "session_x.pid")


def in_session(_: Path) -> TreePopen[bytes]:
    return TreePopen(SLEEP, containment="session")


def test_an_interrupted_session_is_ended_or_known(tmp_path: Path) -> None:
    assert apart(lambda: interrupt_sessions(tmp_path, INTERRUPTED_STARTS), PATIENCE) > 0
    assert files(tmp_path) == set()


def test_an_interrupted_run_leaves_no_process() -> None:
    def scene() -> int:
        count = 0
        for delay in DELAYS:
            count += is_interrupted(lambda: run(["sleep", "0.02"]), delay)
            assert has_no_child()
        return count

    assert apart(scene, PATIENCE) > 0


@pytest.mark.parametrize("start", [popen, in_session, recorded])
def test_a_start_without_descriptors_fails_and_leaves_nothing(start: Start, tmp_path: Path) -> None:
    def scene() -> list[bool]:
        import resource  # noqa: PLC0415 - not on every system

        resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
        start(tmp_path).stop(grace=0)  # type: ignore[attr-defined] # what is used once is loaded
        return [starts_with(free, start, tmp_path) for free in SCARCE]

    started = apart(scene, PATIENCE)
    assert not started[0]
    assert started[-1]
    assert files(tmp_path) == set()


def test_what_is_missing_after_the_spawn_is_not_needed_to_end_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither the kill nor the scan works any more: the pid of the root is enough."""

    def scene() -> None:
        reading, writing = os.pipe()

        def fail(*_: object, **__: object) -> Any:  # noqa: ANN401 - it returns nothing
            raise OSError(24, "Too many open files")

        def spawned(self: TreePopen[bytes], *arguments: Any, **options: Any) -> None:
            begin(self, *arguments, **options)
            monkeypatch.setattr(Containment, "attach_by", fail)
            monkeypatch.setattr("proctree_kill._spawn.start.kill_tree", fail)

        begin = subprocess.Popen.__init__
        monkeypatch.setattr(subprocess.Popen, "__init__", spawned)
        command, record = ["sh", "-c", "sleep 1000 & wait"], tmp_path / "session_x.pid"
        with pytest.raises(OSError, match="Too many"):
            TreePopen(command, record=record, pass_fds=[writing])
        assert has_no_child()
        os.close(writing)
        assert os.read(reading, 1) == b""  # the last of the tree has closed it

    apart(scene, PATIENCE)
    assert files(tmp_path) == {"session_x.starting"}  # not all is known to be dead


@pytest.mark.needs("cgroup")
def test_a_stop_by_record_ends_no_owner_that_is_starting(tmp_path: Path) -> None:
    start_beside_a_stop(tmp_path, STOPPED_STARTS, PATIENCE)
    assert files(tmp_path) == set()


@pytest.mark.needs("cgroup")
def test_what_a_signal_handler_starts_during_a_start_is_no_member() -> None:
    apart(lambda: start_beside_a_handler(SIGNALLED_STARTS), PATIENCE)


@pytest.mark.needs("cgroup")
def test_a_thread_started_in_the_block_of_a_containment_returns() -> None:
    def scene() -> None:
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        containment = Containment.prepare("kernel")
        ours = own_cgroups()
        with containment.spawning():
            thread.start()
            child = subprocess.Popen(SLEEP, **containment.popen_kwargs())
        assert own_cgroups() <= ours
        containment.attach(child)
        assert [outcome.identity.pid for outcome in kill_tree(containment, grace=0).outcomes] == [
            child.pid
        ]
        done.set()
        thread.join()
        child.wait()

    apart(scene, PATIENCE)


@pytest.mark.needs("cgroup")
def test_what_a_block_started_before_it_raised_is_a_member() -> None:
    """It is not attached and has no marker: only the cgroup proves it."""

    def scene() -> None:
        children: list[subprocess.Popen[bytes]] = []
        containment = Containment.prepare("kernel")
        with contextlib.suppress(Interruption), containment.spawning():
            children.append(subprocess.Popen(SLEEP, env={}))
            raise Interruption
        assert kill_tree(containment, grace=0).ok
        assert [child.wait() for child in children] == [-signal.SIGKILL]

    apart(scene, PATIENCE)


@pytest.mark.needs("cgroup")
def test_what_a_block_started_is_a_member_where_a_handler_raises_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from proctree_kill._systems.linux import cgroup as linux_cgroup  # noqa: PLC0415 - not on every system

    def scene() -> None:
        move = linux_cgroup._EntryCgroup._move

        def moving(self: linux_cgroup._EntryCgroup, tid: bytes) -> None:
            os.kill(os.getpid(), signal.SIGALRM)
            move(self, tid)

        signal.signal(signal.SIGALRM, interrupt)
        monkeypatch.setattr(linux_cgroup._EntryCgroup, "_move", moving)
        containment = Containment.prepare("kernel")
        children: list[subprocess.Popen[bytes]] = []
        with pytest.raises(Interruption), containment.spawning():
            children.append(subprocess.Popen(SLEEP, env={}))
        assert kill_tree(containment, grace=0).ok
        assert [child.wait() for child in children] == [-signal.SIGKILL]

    apart(scene, PATIENCE)


@pytest.mark.needs("cgroup")
def test_a_preparation_that_is_interrupted_leaves_no_cgroup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from proctree_kill._systems.linux import cgroup as linux_cgroup  # noqa: PLC0415 - not on every system

    def scene() -> None:
        make, names = linux_cgroup.TreeCgroup.make, []

        def making() -> linux_cgroup.TreeCgroup:
            cgroup = make()
            names.append(Path(cgroup.name))
            os.kill(os.getpid(), signal.SIGALRM)
            return cgroup

        signal.signal(signal.SIGALRM, interrupt)
        monkeypatch.setattr(linux_cgroup.TreeCgroup, "make", making)
        with pytest.raises(Interruption):
            Containment.prepare("kernel")
        assert [name.exists() for name in names] == [False]

    apart(scene, PATIENCE)


@pytest.mark.needs("cgroup")
def test_what_a_failing_preexec_fn_has_started_is_ended(tmp_path: Path) -> None:
    def scene() -> None:
        reading, writing = os.pipe()
        os.set_inheritable(writing, True)  # noqa: FBT003 - the only way to say it

        def fail() -> None:
            if os.fork() == 0:
                os.setsid()
                os.execvp(SLEEP[0], SLEEP)  # noqa: S606 - a program of its own
            raise Interruption

        with pytest.raises(subprocess.SubprocessError):
            TreePopen(SLEEP, preexec_fn=fail, close_fds=False, record=tmp_path / "session_x.pid")
        os.close(writing)
        assert os.read(reading, 1) == b""  # it was the last that had it open
        assert has_no_child()

    apart(scene, PATIENCE)
    assert files(tmp_path) == set()


def test_an_interrupt_does_not_wait_for_a_preexec_fn_that_hangs() -> None:
    def scene() -> None:
        def hang() -> None:
            os.kill(os.getppid(), signal.SIGALRM)
            signal.pause()

        signal.signal(signal.SIGALRM, interrupt)
        with pytest.raises(Interruption):
            TreePopen(SLEEP, preexec_fn=hang)
        assert has_no_child()

    apart(scene, PATIENCE)


@pytest.mark.needs("cgroup")
def test_a_number_that_was_used_again_is_moved_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from proctree_kill._systems.linux import cgroupfs, pidfd  # noqa: PLC0415 - not on every system

    def scene() -> None:
        child = subprocess.Popen(SLEEP)
        containment = Containment.prepare("kernel")
        ours = cgroupfs.folder_of(child.pid)
        with monkeypatch.context() as patched, containment.spawning():
            member = subprocess.Popen(SLEEP, **containment.popen_kwargs())
            patched.setattr(pidfd, "readable", lambda fds, _: [*fds])  # as if it were dead
        assert cgroupfs.folder_of(member.pid) == cgroupfs.folder_of(os.getpid()) == ours
        for process in (child, member):
            process.kill()
            process.wait()
        containment.release()

    apart(scene, PATIENCE)


@pytest.mark.needs("cgroup")
def test_a_caller_in_the_cgroup_of_a_tree_outlives_it() -> None:
    def scene() -> bool:
        process = TreePopen(SLEEP, containment="kernel")
        cgroup = process.containment.cgroup
        assert cgroup
        folder = own_cgroup()
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
        try:
            return process.stop(grace=0).ok
        finally:
            (folder / "cgroup.procs").write_text(str(os.getpid()))
            process.containment.release()

    assert apart(scene, PATIENCE)


def test_a_handler_that_stops_all_meets_a_start_that_ends(tmp_path: Path) -> None:
    def scene() -> None:
        manager = SessionManager(tmp_path, policy=FORCE, guard=False)

        def handle(*_: object) -> None:
            manager.stop_all()
            assert len(manager.sessions) < 2

        signal.signal(signal.SIGALRM, handle)
        for number, delay in enumerate(DELAYS):
            signal.setitimer(signal.ITIMER_REAL, delay)
            with contextlib.suppress(errors.SessionError):
                manager.spawn_agent(f"a{number}", SLEEP)
            signal.setitimer(signal.ITIMER_REAL, 0)
            manager.stop_all()
            assert has_no_child()

    apart(scene, PATIENCE)


def test_a_handler_that_polls_never_waits_for_what_it_interrupted() -> None:
    apart(lambda: start_beside_polls(WATCHED_STARTS), PATIENCE)


@pytest.mark.needs("cgroup")
def test_a_death_signal_is_not_sent_while_the_caller_lives() -> None:
    """The kernel sends it when the thread ends that started the process."""

    def scene() -> int | None:
        prctl = ctypes.CDLL(None).prctl

        def start() -> TreePopen[bytes]:
            order = partial(prctl, PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            pipe = subprocess.PIPE
            return TreePopen(["cat"], stdin=pipe, stdout=pipe, preexec_fn=order)

        process = in_thread(start)()
        process.communicate(b"its last word is written when it has read all")
        return process.returncode

    assert apart(scene, PATIENCE) == 0


# Moves itself into the cgroup of its own tree, and says in the end what became of that.
OWNER = """
import os, sys
from pathlib import Path
from proctree_kill import TreePopen
from proctree_kill._systems.linux import cgroupfs
process = TreePopen(["sleep", "1000"], containment="kernel", record=sys.argv[1])
folder = Path(cgroupfs.folder_of("self"))
(process.containment.cgroup / "cgroup.procs").write_text(str(os.getpid()))
print("inside", flush=True)
sys.stdin.readline()
(folder / "cgroup.procs").write_text(str(os.getpid()))
print(process.wait(), process.stop(grace=0).ok)
"""


@pytest.mark.needs("cgroup")
def test_an_owner_in_the_cgroup_of_its_tree_outlives_a_stop_by_its_record(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path / "session_x.pid")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == "inside\n"
        manager = SessionManager(tmp_path, policy=FORCE, guard=False)
        assert manager.stop_agent("x").success
        assert owner.communicate("go\n", BOUND)[0] == "-9 True\n"


def test_what_the_cleaning_needs_is_held_before_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No descriptor is left once the tree runs, with a daemon that its number does not reach."""

    def scene() -> None:
        reading, writing = os.pipe()
        taken: list[int] = []

        def fail(*_: object) -> None:
            monkeypatch.undo()
            os.read(ready, 1)  # the daemon is there
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            raise OSError(24, "Too many open files")

        import resource  # noqa: PLC0415 - not on every system

        resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
        ready, announce = os.pipe()
        monkeypatch.setattr(Containment, "attach_by", fail)
        command = ["sh", "-c", f"setsid sh -c 'echo >&{announce}; exec sleep 1000' & wait"]
        with pytest.raises(OSError, match="Too many"):
            TreePopen(
                command,
                containment="session",
                record=tmp_path / "session_x.pid",
                pass_fds=[writing, announce],
            )
        os.close(writing)
        assert select.select([reading], [], [], BOUND)[0]  # the daemon has closed it

    apart(scene, PATIENCE)
    assert files(tmp_path) == set()


def starts_with(free: int, start: Start, folder: Path) -> bool:
    """Start with so many descriptors left; end what started; return whether anything did."""
    with few_descriptors(free):
        try:
            started: Any = start(folder)
        except (OSError, errors.ProctreeKillError):
            started = None
    if started is not None:
        assert started.stop(grace=0).ok
    assert has_no_child()
    return started is not None


def own_cgroup() -> Path:
    """Return the folder of this process's cgroup."""
    from proctree_kill._systems.linux import cgroupfs  # noqa: PLC0415 - not on every system

    return Path(cgroupfs.folder_of("self"))


def session(folder: Path) -> TreePopen[bytes]:
    return SessionManager(folder, policy=FORCE).spawn_agent("x", SLEEP).process


@pytest.mark.parametrize("start", [popen, session])
def test_a_signal_that_the_main_thread_waits_for_reaches_it(
    start: Callable[[Path], TreePopen[bytes]], tmp_path: Path
) -> None:
    def scene() -> int:
        process = start(tmp_path)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        os.kill(os.getpid(), signal.SIGTERM)
        taken = signal.sigwait({signal.SIGTERM})
        process.stop(grace=0)
        return taken

    assert apart(scene, PATIENCE) == signal.SIGTERM
