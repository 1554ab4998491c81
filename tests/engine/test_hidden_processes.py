"""Real: processes that ``/proc`` does not show, or shows under other numbers, and denied calls."""

from __future__ import annotations

import asyncio
import codecs
import errno
import io
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import (
    Containment,
    Evidence,
    Fate,
    KillResult,
    SessionManager,
    SessionState,
    TreePopen,
    _cli,
    akill_tree,
    errors,
    identify,
    kill_tree,
    run,
    snapshot_tree,
)
from proctree_kill._engine.process import ExitWaiter
from proctree_kill._systems.linux import procfs
from proctree_kill._systems.linux import system as linux_system
from support import seccomp
from support.agents import PATIENT
from support.callers import apart, in_foreign_proc, in_namespace, unprivileged, without_proc
from support.listener import Listener
from support.recycling import NEXT_PID
from support.threads import other_thread
from support.times import BOUND
from support.users import ordinary_user

pytestmark = pytest.mark.needs("procfs", "root", "pid namespace")

SLEEP = ["sleep", "1000"]
# Become one that cannot be dumped, say so, and go on (PR_SET_DUMPABLE, prctl(2)).
HIDE = "import ctypes, time; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); print(flush=True); {}"
UNREAD = "/proc does not show it: what it started could not be looked for"
World = Callable[[Callable[[], Any]], Any]
Start = Callable[[], "subprocess.Popen[bytes]"]


def plain() -> subprocess.Popen[bytes]:
    return subprocess.Popen(SLEEP)


def hide(rest: str = "time.sleep(1000)") -> list[str]:
    """Return the command of a process that hides before it does the rest."""
    account = ordinary_user()
    assert account
    return [account.interpreter, "-I", "-S", "-c", HIDE.format(rest)]


def hidden() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(hide(), stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.read(1)
    return process


def in_hiding_proc(call: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the call returns
    """Call something as an ordinary user, others' processes hidden (hidepid, proc(5))."""

    def ordinary() -> Any:  # noqa: ANN401 - as above
        with unprivileged(ordinary_user()):
            return call()

    codecs.lookup("ascii")  # an ordinary user may not be allowed to read root's Python
    return in_namespace(ordinary, options=b"hidepid=2")


WORLDS = {
    "no /proc": (without_proc, plain),
    "another namespace's /proc": (in_foreign_proc, plain),
    "hidepid": (in_hiding_proc, hidden),
}
everywhere = pytest.mark.parametrize(("world", "start"), WORLDS.values(), ids=WORLDS)


@contextmanager
def started(start: Start) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that ends with the block."""
    with start() as process:
        try:
            yield process
        finally:
            process.kill()


def summary(result: KillResult) -> tuple[bool, tuple[Fate, str | None], tuple[Evidence, ...]]:
    """Return what these tests ask of the result for a process."""
    (outcome,) = result.outcomes
    return result.ok, (outcome.fate, outcome.detail), result.verified


ENDED = (True, (Fate.TERMINATED, UNREAD), ())


@pytest.mark.needs("pidfd")
@pytest.mark.parametrize("spare", ["no-such-program", "NO_SUCH=1"])
def test_what_may_not_be_signalled_is_denied_though_it_may_be_spared(spare: str) -> None:
    def scene() -> Fate:
        with started(plain) as process, unprivileged(ordinary_user()):
            return kill_tree(process.pid, grace=0, spare=[spare]).outcomes[0].fate

    codecs.lookup("ascii")  # as above
    assert in_namespace(scene, options=b"hidepid=2") is Fate.DENIED


@everywhere
@pytest.mark.needs("pidfd")
def test_a_process_is_ended_through_its_descriptor(world: World, start: Start) -> None:
    def scene() -> list[object]:
        found: list[object] = []
        ways: list[Callable[[subprocess.Popen[bytes]], KillResult]] = [
            lambda process: kill_tree(process.pid, grace=BOUND),
            lambda process: kill_tree(process, grace=BOUND),
            lambda process: asyncio.run(akill_tree(process, grace=BOUND)),
        ]
        for how in ways:
            with started(start) as process:
                found += [summary(how(process)), process.wait(BOUND)]
        return found

    assert world(scene) == [ENDED, -signal.SIGTERM] * 3


@everywhere
@pytest.mark.needs("pidfd inode")
def test_boot_and_inode_are_an_identity(world: World, start: Start) -> None:
    def scene() -> tuple[bool, object]:
        procfs._boot_id = None  # as if nothing had been read before /proc went
        with started(start) as process:
            known = identify(process.pid)
            try:
                return known.weak, summary(kill_tree(snapshot_tree(known), grace=BOUND))
            except errors.TargetRefusedError as error:
                return known.weak, "too weak" in str(error) and process.poll() is None

    unknown_boot = world is without_proc
    forced = (True, (Fate.TERMINATED, UNREAD), ())
    assert world(scene) == ((True, True) if unknown_boot else (False, forced))


@everywhere
@pytest.mark.parametrize("pidfd", [True, False], ids=["pidfd", "numbers"])
def test_a_command_is_waited_for_and_ended_at_its_timeout(
    world: World, start: Start, *, pidfd: bool
) -> None:
    command = SLEEP if start is plain else hide()

    def scene() -> tuple[object, ...]:
        held(pidfd)
        with pytest.raises(subprocess.TimeoutExpired):
            run(command, timeout=0.2, capture_output=True)
        code = run(["sh", "-c", "exit 3"]).returncode
        with TreePopen(command, stdout=subprocess.PIPE) as process:
            if start is hidden:
                assert process.stdout
                process.stdout.read(1)
            before = process.poll()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0)
            with ExitWaiter(process.pid) as waiter:
                lives = not waiter.wait(0)
            return code, before, lives, process.stop(grace=0).ok, process.returncode

    assert world(scene) == (3, None, True, True, -signal.SIGKILL)


@everywhere
def test_without_descriptors_only_a_word_or_a_child_is_acted_upon(
    world: World, start: Start
) -> None:
    def scene() -> list[object]:
        held(pidfd=False)
        found: list[object] = []
        with started(start) as process:
            known = identify(process.pid)
            with pytest.raises(errors.TargetRefusedError, match="too weak"):
                kill_tree(known)
            found += [process.poll(), summary(kill_tree(process, grace=BOUND)), process.returncode]
        with started(start) as process:
            found += [summary(kill_tree(process.pid, grace=BOUND)), process.wait(BOUND)]
        return found

    assert world(scene) == [None, *([ENDED, -signal.SIGTERM] * 2)]


@everywhere
@pytest.mark.parametrize("pidfd", [True, False], ids=["pidfd", "numbers"])
def test_a_thread_is_refused(world: World, start: Start, *, pidfd: bool) -> None:  # noqa: ARG001
    def scene() -> None:
        held(pidfd)
        with other_thread() as tid:
            kill_tree(tid, grace=0)

    with pytest.raises(errors.TargetRefusedError, match="it is a thread id"):
        world(scene)


@pytest.mark.parametrize("pidfd", [True, False], ids=["pidfd", "numbers"])
def test_the_parent_of_the_caller_is_refused(*, pidfd: bool) -> None:
    def scene() -> None:
        held(pidfd)
        kill_tree(os.getppid(), grace=0)

    with pytest.raises(errors.TargetRefusedError, match="holds the caller"):
        without_proc(lambda: apart(scene))


@pytest.mark.needs("next pid", "pidfd")
def test_an_innocent_with_the_number_of_a_strangers_child_lives() -> None:
    """In the namespace above, the same numbers are those of a parent and its child."""

    def below(parent: int, child: int) -> tuple[list[int], bool]:
        root, innocent = fork_as(parent), fork_as(child)
        result = kill_tree(root, grace=0)
        lives = os.waitpid(innocent, os.WNOHANG) == (0, 0)
        for pid in (root, innocent):
            os.kill(pid, signal.SIGKILL)
            if lives or pid == root:
                os.waitpid(pid, 0)
        return [outcome.identity.pid - root for outcome in result.outcomes], lives

    def above() -> tuple[list[int], bool]:
        with subprocess.Popen(
            ["sh", "-c", "sleep 1000 & echo $!; wait"], stdout=subprocess.PIPE
        ) as it:
            assert it.stdout
            child = int(it.stdout.readline())
            try:
                return in_foreign_proc(lambda: below(it.pid, child))
            finally:
                os.kill(child, signal.SIGKILL)

    assert in_namespace(above) == ([0], True)


@everywhere
def test_sessions_contained_trees_and_the_command_line(world: World, start: Start) -> None:
    del start

    def scene() -> list[object]:
        with tempfile.TemporaryDirectory() as folder:
            return [*manage(Path(folder) / "sessions"), *others()]

    def manage(folder: Path) -> list[object]:
        listener = Listener()
        with SessionManager(
            folder, policy=PATIENT, event_broadcaster=listener, guard=False
        ) as manager:
            first = manager.spawn_agent("first", SLEEP)
            lives = first.state is SessionState.RUNNING
            stopped = manager.stop_agent("first").success
            manager.spawn_agent("second", ["sh", "-c", "exit 5"])
            listener.wait("exited", "second")
        return [lives, stopped, [path.name for path in folder.iterdir()]]

    def others() -> list[object]:
        contained = Containment.prepare("session")
        with subprocess.Popen(SLEEP, **contained.popen_kwargs()) as process:
            contained.attach(process)
            ended = kill_tree(contained, grace=BOUND).ok
        text = io.TextIOWrapper(io.BytesIO())
        with started(plain) as process, redirect_stdout(text), redirect_stderr(text):
            done = _cli.main(["kill", str(process.pid)])
        return [ended, done]

    assert world(scene) == [True, True, [], True, 0]


def fork_as(pid: int) -> int:
    """Fork a process that has this number and sleeps."""
    NEXT_PID.write_text(str(pid - 1))
    started = os.fork()
    if not started:
        while True:
            signal.pause()
    assert started == pid
    return started


def held(pidfd: bool) -> None:  # noqa: FBT001 - it says which
    """Choose whether processes are held by descriptors, for the rest of this fork."""
    linux_system.PIDFD = linux_system.PIDFD and pidfd


@pytest.mark.needs("seccomp", "pidfd")
@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS], ids=errno.errorcode.get)
@pytest.mark.parametrize(
    "call", ["pidfd_open", "pidfd_send_signal", "waitid", "getsid", "eventfd", "poll"]
)
def test_a_denied_call_is_done_without(call: str, error: int) -> None:
    def scene() -> list[object]:
        seccomp.deny(call, error)
        found: list[object] = []
        with started(plain) as process:
            result = kill_tree(process.pid, grace=BOUND)
            found += [result.ok, result.outcomes[0].fate, result.outcomes[0].exit_code]
        with started(plain) as process:
            kill_tree(process, grace=0)
            found.append(process.returncode)
        with TreePopen(["sh", "-c", "sleep 1000 & exec sleep 1000"], containment="session") as tree:
            found.append(tree.stop(grace=0).verified)
        return found

    code = None if call == "waitid" else -signal.SIGTERM
    everything = (Evidence.DESCENDANT, Evidence.MARKER, Evidence.SESSION)
    assert apart(scene) == [True, Fate.TERMINATED, code, -signal.SIGKILL, everything]


@pytest.mark.needs("seccomp", "pidfd", "ordinary user")
def test_a_denied_signal_is_told_from_a_protected_process() -> None:
    def scene() -> Fate:
        with started(plain) as process, unprivileged(ordinary_user()):
            seccomp.deny("pidfd_send_signal", errno.EPERM)
            return kill_tree(process.pid, grace=0).outcomes[0].fate

    assert apart(scene) is Fate.DENIED
