"""Real: the owner of a process keeps its exit code; only our own orphans are reaped."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Event

import psutil
import pytest

from proctree_kill import (
    Evidence,
    Fate,
    KillResult,
    TreePopen,
    akill_tree,
    kill_tree,
    snapshot_tree,
)
from support.callers import apart, become_subreaper, in_namespace, in_subreaper
from support.forcing import forced_after
from support.loops import on_both
from support.nodes import Node, chain
from support.planter import Planter
from support.times import BOUND, LONG, PATIENCE
from support.trees import Tree

pytestmark = pytest.mark.needs("fork")

CHILD = (chain("child"),)
DEFAULT = Node(name="root", children=CHILD)
STUBBORN = Node(name="root", on_term="ignore", children=CHILD)
OWN_CODE = Node(name="root", on_term="exit", exit_code=7, children=CHILD)
CLEAN = Node(name="root", on_term="exit", children=CHILD)
ENDS = pytest.mark.parametrize(
    ("node", "grace", "code"),
    [
        pytest.param(DEFAULT, PATIENCE, -15, id="default"),
        pytest.param(DEFAULT, 0, -9, id="forced"),
        pytest.param(STUBBORN, 0.2, -9, id="stubborn"),
        pytest.param(OWN_CODE, PATIENCE, 7, id="own code"),
        pytest.param(CLEAN, PATIENCE, 0, id="clean"),
    ],
)


@ENDS
def test_the_returncode_of_a_popen_is_true_on_return(
    plant: Planter, node: Node, grace: float, code: int
) -> None:
    tree = plant(node)
    result = kill_tree(tree.root, grace=grace)
    assert tree.root.returncode == code
    assert exit_code(result) == code
    assert tree.all_dead()


@ENDS
def test_a_bare_pid_leaves_the_zombie_to_its_owner(
    plant: Planter, node: Node, grace: float, code: int
) -> None:
    tree = plant(node)
    result = kill_tree(tree.root.pid, grace=grace)
    assert exit_code(result) == code
    assert tree.state("root") == psutil.STATUS_ZOMBIE
    _, status = os.waitpid(tree.root.pid, 0)
    tree.root.returncode = os.waitstatus_to_exitcode(status)
    assert tree.root.returncode == code
    assert tree.all_dead()


@ENDS
def test_the_returncode_of_an_asyncio_process_is_true_on_return(
    plant: Planter, node: Node, grace: float, code: int
) -> None:
    async def scene() -> None:
        process, tree = await start_with_asyncio(plant, node)
        result = await akill_tree(process, grace=grace)
        assert process.returncode == code
        assert exit_code(result) == code
        assert tree.all_dead()

    asyncio.run(scene())


class AwaitedProcess:
    """What an event loop waits for: it learns the exit code only when it is awaited."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self.returncode: int | None = None
        self._process = process

    async def wait(self) -> int:
        self.returncode = self._process.wait()
        return self.returncode


@on_both
def test_an_owner_that_only_its_loop_may_ask_is_awaited(loop: Callable[..., KillResult]) -> None:
    with subprocess.Popen(["sleep", str(LONG)]) as process:
        owner = AwaitedProcess(process)
        result = loop(lambda: akill_tree(owner, grace=0))
    assert (result.ok, owner.returncode) == (True, -9)


@on_both
def test_an_exit_code_that_only_the_owner_knows_is_reported_on_a_loop(
    loop: Callable[..., KillResult],
) -> None:
    with subprocess.Popen(["sh", "-c", "exit 7"]) as process:
        process.wait()
        owner = AwaitedProcess(process)
        owner.returncode = process.returncode
        result = loop(lambda: akill_tree(owner))
    assert [outcome.fate for outcome in result.outcomes] == [Fate.ALREADY_GONE]
    assert exit_code(result) == 7


def test_an_exit_code_that_only_the_owner_knows_is_reported() -> None:
    with subprocess.Popen(["sh", "-c", "exit 7"]) as process:
        process.wait()
        result = kill_tree(process)
    assert [outcome.fate for outcome in result.outcomes] == [Fate.ALREADY_GONE]
    assert exit_code(result) == 7


@ENDS
def test_the_exitcode_of_a_multiprocessing_process_is_true_on_return(
    node: Node, grace: float, code: int
) -> None:
    context = multiprocessing.get_context("fork")
    started = context.Event()
    process = context.Process(target=play, args=(node, started))
    process.start()
    try:
        assert started.wait(BOUND)
        result = kill_tree(process, grace=grace)
        assert process.exitcode == code
        assert exit_code(result) == code
    finally:
        process.kill()
        process.join()
        process.close()


@pytest.mark.parametrize(("grace", "number"), [(PATIENCE, 15), (0, 9)])
def test_a_pexpect_child_knows_how_it_ended(grace: float, number: int) -> None:
    pexpect = pytest.importorskip("pexpect")
    program = "import signal; print('started', flush=True); signal.pause()"
    with pexpect.spawn(sys.executable, ["-I", "-S", "-c", program]) as child:
        child.expect("started")
        result = kill_tree(child, grace=grace)
        assert exit_code(result) == -number
        assert not child.isalive()
        assert child.signalstatus == number


def test_no_child_of_a_foreign_parent_is_reaped(plant: Planter) -> None:
    tree = plant(
        Node(name="root", children=(Node(name="idle", reaps=False, children=(chain("x"),)),))
    )
    result = kill_tree(tree.pids["x"], grace=PATIENCE)
    assert [outcome.fate for outcome in result.outcomes] == [Fate.TERMINATED]
    assert tree.state("x") == psutil.STATUS_ZOMBIE


def test_a_popen_that_was_waited_for_is_already_gone(plant: Planter) -> None:
    popen = plant(Node(name="root", dies=True)).root
    popen.wait()
    result = kill_tree(popen)
    assert result.ok
    assert result.root
    assert result.root.fate is Fate.ALREADY_GONE


def test_a_popen_that_was_waited_for_is_no_word_for_the_session_of_its_number(
    plant: Planter,
) -> None:
    tree = plant(Node(name="root", dies=True, children=CHILD))
    tree.root.wait()
    assert kill_tree(tree.root, grace=0).ok
    assert not tree.all_dead()
    assert kill_tree(tree.root.pid, grace=0).ok
    assert tree.all_dead()


@pytest.mark.needs("waitid")
def test_a_popen_that_is_dead_and_not_reaped_leads_to_its_session(plant: Planter) -> None:
    tree = plant(Node(name="root", dies=True, children=CHILD))
    os.waitid(os.P_PID, tree.root.pid, os.WEXITED | os.WNOWAIT)
    result = kill_tree(tree.root, grace=PATIENCE)
    assert tree.all_dead()
    assert tree.root.returncode == 0
    fates = {outcome.identity.pid: (outcome.fate, outcome.evidence) for outcome in result.outcomes}
    assert fates[tree.pids["child"]] == (Fate.TERMINATED, (Evidence.SESSION,))


def test_several_targets_share_one_call(plant: Planter) -> None:
    trees = [plant(DEFAULT), plant(OWN_CODE), plant(STUBBORN)]
    with forced_after([trees[0].root.pid]):
        result = kill_tree([trees[0].root, trees[1].root.pid, trees[2].root], grace=PATIENCE)
    assert result.ok
    assert [identity.pid for identity in result.target] == [tree.root.pid for tree in trees]
    assert all(tree.all_dead() for tree in trees)
    assert (trees[0].root.returncode, trees[2].root.returncode) == (-15, -9)
    assert trees[1].state("root") == psutil.STATUS_ZOMBIE


def test_what_a_snapshot_names_is_ended_when_the_root_is_gone(plant: Planter) -> None:
    leader = Node(name="leader", session=True, children=(chain("x"),))
    tree = plant(Node(name="root", children=(leader,)))
    snapshot = snapshot_tree(tree.root.pid)
    os.kill(tree.root.pid, signal.SIGKILL)
    tree.root.wait()
    result = kill_tree(snapshot, grace=PATIENCE)
    assert result.ok
    assert tree.all_dead()
    fates = {outcome.identity.pid: outcome.fate for outcome in result.outcomes}
    assert fates == {
        tree.root.pid: Fate.ALREADY_GONE,
        tree.pids["leader"]: Fate.TERMINATED,
        tree.pids["x"]: Fate.TERMINATED,
    }


FAMILY = Node(
    name="root",
    children=(
        Node(name="middle", dies=True, children=(chain("orphan", "x"),)),
        Node(name="leader", session=True, children=(chain("y"),)),
        Node(name="idle", reaps=False, children=(chain("z"),)),
    ),
)


@pytest.mark.needs("procfs")
@pytest.mark.parametrize("grace", [PATIENCE, 0])
def test_a_subreaper_reaps_the_orphans_that_it_killed(grace: float) -> None:
    def scene() -> list[int]:
        become_subreaper()
        with Planter() as planter:
            tree = planter(FAMILY)
            assert kill_tree(tree.root, grace=grace).ok
            return [child.pid for child in psutil.Process().children()]

    assert apart(scene) == []


@pytest.mark.needs("procfs")
def test_an_orphan_of_a_reaped_root_is_found_below_a_subreaper_above_the_caller() -> None:
    def scene() -> tuple[list[str | None], bytes]:
        script = "tail -fn1 /etc/passwd & read line"
        pipe = subprocess.PIPE
        env = {**os.environ, "PLANTED": "1"}
        with subprocess.Popen(["sh", "-c", script], stdin=pipe, stdout=pipe, env=env) as root:
            assert root.stdin
            assert root.stdout
            root.stdout.readline()
            root.stdin.close()
            root.wait()
            result = kill_tree(root, grace=0, marker="PLANTED=1")
            names = [outcome.name for outcome in result.outcomes if outcome.fate is Fate.KILLED]
            return names, root.stdout.read()  # to its end: no process holds the pipe

    assert in_subreaper(lambda: apart(scene)) == (["tail"], b"")


@pytest.mark.needs("pid namespace")
@pytest.mark.parametrize("grace", [PATIENCE, 0])
def test_the_first_process_of_a_namespace_has_no_zombies_afterwards(grace: float) -> None:
    def scene() -> tuple[int, bool, list[int]]:
        with Planter() as planter:
            tree = planter(FAMILY)
            result = kill_tree(tree.root, grace=grace)
            return os.getpid(), result.ok, psutil.pids()

    assert in_namespace(scene) == (1, True, [1])


async def start_with_asyncio(plant: Planter, node: Node) -> tuple[asyncio.subprocess.Process, Tree]:
    """Start a tree whose root belongs to the event loop."""
    with plant.prepare(node) as prepared:
        process = await asyncio.create_subprocess_exec(*prepared.argv, **prepared.options)
    prepared.tree.await_started()
    return process, prepared.tree


def play(node: Node, started: Event) -> None:
    """Behave as described, in a process that multiprocessing started."""
    if node.on_term == "exit":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    elif node.on_term == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    started.set()
    if node.on_term == "exit":
        signal.sigwait([signal.SIGTERM])
        os._exit(node.exit_code)
    while True:
        signal.pause()


def exit_code(result: KillResult) -> int | None:
    """Return the exit code of the root."""
    assert result.root
    return result.root.exit_code


@pytest.mark.needs("procfs")
@pytest.mark.parametrize("pidfd", [True, False], ids=["pidfd", "numbers"])
@pytest.mark.parametrize("grace", [PATIENCE, 0])
@pytest.mark.parametrize(
    "way",
    [
        pytest.param(in_namespace, id="pid 1", marks=pytest.mark.needs("pid namespace")),
        pytest.param(in_subreaper, id="subreaper"),
    ],
)
@pytest.mark.usefixtures("no_cgroup")
def test_a_daemon_that_was_adopted_before_the_stop_is_reaped(
    way: Callable[[Callable[[], object]], object], grace: float, *, pidfd: bool
) -> None:
    """It leads a session of its own, as what we start ourselves does."""

    def scene() -> tuple[bool, bool, int]:
        from proctree_kill._systems.linux import system as linux_system  # noqa: PLC0415 - not on every system

        linux_system.PIDFD = linux_system.PIDFD and pidfd
        daemon = "setsid sh -c 'echo $$; exec sleep 1000' & exec sleep 1000"
        command = ["sh", "-c", f"sh -c {shlex.quote(daemon)} & read line"]
        with (
            TreePopen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tree,
            subprocess.Popen(["sleep", "1000"], start_new_session=True) as ours,
        ):
            assert tree.stdout
            assert tree.stdin
            started = psutil.Process(int(tree.stdout.readline()))
            parent = started.parent()
            assert parent
            parent.kill()
            while started.ppid() != os.getpid():  # the kernel has not adopted it yet
                os.sched_yield()
            ok = tree.stop(grace=grace).ok
            ours.kill()
            return ok, psutil.pid_exists(started.pid), ours.wait()

    assert way(scene) == (True, False, -signal.SIGKILL)
