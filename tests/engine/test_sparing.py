"""Real: daemons that are spared by their marker, their name or their command line."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from proctree_kill import (
    Fate,
    KillPolicy,
    KillResult,
    SpareCandidate,
    errors,
    kill_tree,
    snapshot_tree,
)
from proctree_kill._engine.killing import Killing
from proctree_kill._engine.spare import Spare
from support.callers import apart, unprivileged
from support.daemons import MARKER, REPORT, command, daemon_lives
from support.planter import Planter, python
from support.servers import STAY, plant_program, script, unique_name
from support.threads import in_thread
from support.times import LONG, PATIENCE
from support.trees import Tree
from support.users import ordinary_user

pytestmark = pytest.mark.needs("fork", "procfs")

END_MAIN_THREAD = """\
import _thread, ctypes
_thread.start_new_thread(signal.sigwait, ([signal.SIGUSR1],))
ctypes.CDLL(None).pthread_exit(None)"""
UNREADABLE = """\
import ctypes, os, signal
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
os.write(1, b"1\\n")
signal.pause()
"""


def planted(plant: Planter, argv: list[str]) -> Tree:
    """Plant a root with a daemon."""
    tree = plant.program(argv)
    tree.await_started("daemon")
    return tree


def spared(result: KillResult) -> dict[int, str | None]:
    """Return the processes that were spared, and why."""
    found = [outcome for outcome in result.outcomes if outcome.fate is Fate.SPARED]
    assert all(outcome.signals == () for outcome in found)
    return {outcome.identity.pid: outcome.spared for outcome in found}


@pytest.mark.parametrize("grace", [0, PATIENCE])
def test_a_daemon_is_spared_by_its_own_marker(plant: Planter, tmp_path: Path, grace: float) -> None:
    tree = planted(plant, command(tmp_path))
    result = kill_tree(tree.root, grace=grace, spare=["NO_SUCH=1", MARKER])
    assert result.ok
    assert spared(result) == {tree.pids["daemon"]: f"by its marker {MARKER}"}
    assert daemon_lives(tree)
    assert kill_tree(tree.pids["daemon"], grace=0).ok
    assert tree.all_dead()


@pytest.mark.parametrize("length", [9, 15, 16, 40])
def test_a_daemon_is_spared_by_its_exact_name_though_the_kernel_cuts_it(
    plant: Planter, tmp_path: Path, length: int
) -> None:
    name = unique_name(length)
    tree = planted(plant, command(tmp_path, name))
    for other in (name[:-1], name + "x", name[:15] if length > 15 else name.upper()):
        found = snapshot_tree(tree.root, spare=[other])
        assert not any(member.spared for member in found.members)
    result = kill_tree(tree.root, grace=0, spare=["no-such-program", name])
    assert spared(result) == {tree.pids["daemon"]: f"by its name {name}"}
    assert daemon_lives(tree)


def test_a_daemon_whose_main_thread_has_ended_is_spared(plant: Planter, tmp_path: Path) -> None:
    name = unique_name(40)
    path = script(tmp_path, name, REPORT.replace("signal.pause()", END_MAIN_THREAD))
    tree = planted(plant, ["sh", "-c", 'setsid "$0" & wait', path])
    while tree.state("daemon") != psutil.STATUS_ZOMBIE:
        os.sched_yield()

    def is_daemon(candidate: SpareCandidate) -> bool:
        return (candidate.command_line() or ())[-1:] == (path,) and candidate.name != "sh"

    ways: list[Spare] = [[name], is_daemon]
    for spare in ways:
        found = snapshot_tree(tree.root, spare=spare)
        assert [bool(member.spared) for member in found.members] == [True, False]
    assert kill_tree(tree.root, grace=0).ok
    assert tree.all_dead()


def test_a_daemon_is_spared_by_its_command_line(plant: Planter, tmp_path: Path) -> None:
    tree = planted(plant, command(tmp_path, "planted-daemon"))
    path = str(tmp_path / "planted-daemon")

    def is_daemon(candidate: SpareCandidate) -> bool:
        return (candidate.command_line() or ())[-1:] == (path,) and candidate.name != "sh"

    result = kill_tree(tree.root, grace=0, spare=is_daemon)
    assert spared(result) == {tree.pids["daemon"]: "by the predicate"}
    assert daemon_lives(tree)


def test_pids_names_and_markers_may_be_mixed(plant: Planter) -> None:
    root = plant_program(plant, [*python(None), "-c", STAY])
    found = snapshot_tree(root.tree.root, spare=[MARKER, "no-such-program", root.pid])
    assert [member.spared for member in found.members] == ["by the caller"]


def test_a_target_that_has_the_name_is_spared_with_all_below_it(
    plant: Planter, tmp_path: Path
) -> None:
    tree = planted(plant, command(tmp_path))
    found = snapshot_tree(tree.root, spare=["sh"])
    assert {member.spared for member in found.members} >= {"by its name sh"}
    assert all(member.spared for member in found.members)


@pytest.mark.needs("ordinary user")
def test_a_process_that_hides_its_environment_from_its_user_is_spared(plant: Planter) -> None:
    account = ordinary_user()
    hiding = plant_program(plant, [*python(account), "-c", UNREADABLE], account=account)
    plain = plant_program(
        plant,
        [*python(account), "-c", "import os, signal; os.write(1, b'1\\n'); signal.pause()"],
        account=account,
    )
    pids = [hiding.pid, plain.pid]
    result = apart(lambda: _kill_as_user(pids))
    assert spared(result) == {hiding.pid: "its environment cannot be read"}
    assert hiding.lives()
    assert plain.tree.all_dead()


def _kill_as_user(pids: list[int]) -> KillResult:
    with unprivileged(ordinary_user()):
        return kill_tree(pids, grace=PATIENCE, spare=[MARKER])


@pytest.mark.parametrize("changed", [False, True])
def test_a_marker_that_the_caller_carries_is_refused(
    plant: Planter, monkeypatch: pytest.MonkeyPatch, *, changed: bool
) -> None:
    if changed:
        monkeypatch.setenv("PLANTED_DAEMON", "1")
        marker = MARKER
    else:
        marker = f"PATH={os.environ['PATH']}"
    name = marker.partition("=")[0]
    root = plant_program(plant, [*python(None), "-c", STAY])
    words = f"the caller itself carries the marker {name}, so what it starts would be spared"
    with pytest.raises(errors.TargetRefusedError, match=words):
        kill_tree(root.pid, spare=[marker])
    assert words in str(snapshot_tree(root.pid, spare=[marker]).refusal)
    assert root.lives()


# Starts a child that becomes the daemon at SIGUSR1, or when it is asked to exit.
BECOMES = """\
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if not os.fork():
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: os.execv(sys.argv[1], sys.argv[1:]))
    with open("/proc/self/stat", "rb") as stat:
        start = int(stat.read().rpartition(b")")[2].split()[19])
    os.write(int(os.environ["PLANT_PIPE"]), b"child %d %d\\n" % (os.getpid(), start))
while True:
    signal.pause()
"""


@pytest.fixture
def becoming(plant: Planter, tmp_path: Path) -> tuple[Tree, str]:
    """Plant a root with a child that is not the daemon yet, and return the name it will have."""
    name = unique_name(20)
    tree = plant.program([*python(None), "-c", BECOMES, script(tmp_path, name, REPORT)])
    tree.await_started("child")
    return tree, name


def test_what_becomes_the_daemon_before_the_request_is_not_asked(
    becoming: tuple[Tree, str],
) -> None:
    tree, name = becoming

    def become() -> None:
        os.kill(tree.pids["child"], signal.SIGUSR1)
        tree.await_started("daemon")
        tree.root.kill()

    result = kill_tree(tree.root, grace=LONG, shutdown=become, spare=[name])
    assert spared(result) == {tree.pids["child"]: f"by its name {name}"}
    assert daemon_lives(tree)


def test_what_becomes_the_daemon_during_the_grace_is_not_forced(
    becoming: tuple[Tree, str],
) -> None:
    tree, name = becoming
    killing = Killing(tree.root, KillPolicy(grace=LONG, terminate="tree"), spare=[name])
    result = in_thread(killing.run)
    tree.await_started("daemon")
    killing.hurry()
    (daemon,) = [outcome for outcome in result().outcomes if outcome.fate is Fate.SPARED]
    assert daemon.signals[0] == "SIGTERM"
    assert not {"SIGSTOP", "SIGKILL"} & {*daemon.signals}
    assert daemon.identity.pid == tree.pids["child"]
    assert daemon_lives(tree)
