"""Real: the orphans of a process group, and what only looks like them."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from proctree_kill import Evidence, Fate, TreePopen, kill_tree, snapshot_tree
from proctree_kill._engine import kill, killing
from proctree_kill._engine.scan import scan
from proctree_kill._engine.target import Aim
from proctree_kill._engine.tree import Tree
from proctree_kill._systems.linux import procfs
from proctree_kill._systems.linux import system as linux_system
from proctree_kill._systems.member import GROUP
from proctree_kill._systems.posix.system import PosixSystem
from support import seccomp
from support.callers import Caller, apart, become_subreaper, in_namespace
from support.counts import DYING_SHELLS
from support.nodes import Node, chain
from support.outcomes import by_name
from support.pipelines import PIPELINE, harmed
from support.planter import Planter
from support.recycling import NEXT_PID
from support.times import BOUND, PATIENCE

pytestmark = pytest.mark.needs("procfs", "fork", "bash")

D, G, R = Evidence.DESCENDANT, Evidence.GROUP, Evidence.ROOT
NO_SESSION: dict[str, Any] = {"start_new_session": False}
OWN_GROUP: dict[str, Any] = {"start_new_session": False, "process_group": 0}
LINES: dict[str, Any] = {"stdout": subprocess.PIPE, "bufsize": 0}
TWO_ORPHANS = Node(
    name="root",
    children=(Node(name="middle", dies=True, children=(chain("first"), chain("second"))),),
)
# A process that says its number and has lost the parent of two others.
JOB = "(sleep 1000 & sleep 1000 &); echo $$; exec sleep 1000"
JOB_SHELL = ["bash", "-c", f"set -m; bash -c '{JOB}' & wait"]
# Ends `a`, and says whether `b` lives, and what was verified.
END = """
import os, sys
from proctree_kill import kill_tree
found = {*map(int, sys.argv[1:])}
a = os.getpgid(min(found))
b = max(found - {a}, default=os.getpid())
result = kill_tree(a)
state = open(f"/proc/{b}/stat").read().rpartition(")")[2].split()[0]
life = "harmed" if state in "TtZX" else "lives"
print(len(result.outcomes), life, *result.verified, flush=True)
"""
IMPORTS = f"PYTHONPATH={shlex.quote(str(Path(kill.__file__).parents[2]))}:$PYTHONPATH"
FIRST = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]

CALLERS = [
    Caller(name="plain"),
    pytest.param(Caller(name="no pidfd", pidfd=False), marks=pytest.mark.needs("pidfd")),
    pytest.param(
        Caller(name="no children file", children_file=False),
        marks=pytest.mark.needs("children file"),
    ),
    pytest.param(
        Caller(name="ordinary user", ordinary=True), marks=pytest.mark.needs("ordinary user")
    ),
]


@pytest.fixture
def over_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (kill, killing):
        monkeypatch.setattr(module, "current", lambda *_: PosixSystem())


def start_as(pid: int, argv: list[str]) -> subprocess.Popen[bytes]:
    """Start a group whose leader has this number: the kernel frees it a moment after a death."""
    while True:
        NEXT_PID.write_text(str(pid - 1))
        process = subprocess.Popen(argv, process_group=0, **LINES)
        if process.pid == pid:
            return process
        with process:
            process.kill()


def said(process: subprocess.Popen[bytes], lines: int = 1) -> list[int]:
    """Read the numbers that a program writes, each on a line."""
    assert process.stdout
    return [int(process.stdout.readline()) for _ in range(lines)]


def parts(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Return the leader of a pipeline and its other part."""
    found = said(process, 2)
    leader = os.getpgid(found[0])
    found.remove(leader)
    return leader, found[0]


def runs(pid: int) -> bool:
    return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_a_root_with_a_group_of_its_own_leaves_no_orphan(plant: Planter, caller: Caller) -> None:
    tree = plant(TWO_ORPHANS, account=caller.account, **OWN_GROUP)
    result = caller.kill(tree.root.pid, grace=PATIENCE)
    found = by_name(tree.pids, result)
    assert {name: found[name].evidence for name in ("root", "first", "second")} == {
        "root": (R,),
        "first": (G,),
        "second": (G,),
    }
    assert result.ok
    assert result.verified == (D, G)
    assert tree.all_dead()


@pytest.mark.parametrize("grace", [0, PATIENCE])
def test_an_owner_ends_the_orphans_of_its_child(plant: Planter, grace: float) -> None:
    tree = plant(TWO_ORPHANS, **OWN_GROUP)
    snapshot = snapshot_tree(tree.root)
    assert "[group]" in snapshot.render()
    assert {member.identity.pid for member in snapshot.members} == {
        pid for name, pid in tree.pids.items() if name != "middle"
    }
    assert kill_tree(tree.root, grace=grace).verified == (D, G)
    assert tree.all_dead()


def test_a_snapshot_of_a_group_is_a_target_after_the_root_is_gone(plant: Planter) -> None:
    tree = plant(TWO_ORPHANS, **OWN_GROUP)
    snapshot = snapshot_tree(tree.root)
    tree.root.kill()
    tree.root.wait()
    result = kill_tree(snapshot, grace=PATIENCE)
    assert result.ok
    assert tree.all_dead()


def test_a_root_that_is_dead_and_not_reaped_leaves_no_orphan(plant: Planter) -> None:
    tree = plant(TWO_ORPHANS, **OWN_GROUP)
    tree.root.kill()
    os.waitid(os.P_PID, tree.root.pid, os.WEXITED | os.WNOWAIT)
    result = kill_tree(tree.root.pid, grace=PATIENCE)
    assert [outcome.evidence for outcome in result.outcomes if outcome.fate is Fate.TERMINATED] == [
        (G,),
        (G,),
    ]
    assert tree.all_dead()


def test_an_orphan_that_is_forked_while_its_parent_is_asked_is_found(plant: Planter) -> None:
    forker = Node(name="forker", on_term="fork", exit_code=3)
    tree = plant(Node(name="root", children=(forker,)), **OWN_GROUP)
    result = kill_tree(tree.root, grace=0.5)
    assert result.ok
    assert tree.all_dead()


@pytest.mark.needs("seccomp")
@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS], ids=errno.errorcode.get)
def test_where_a_filter_denies_the_call_the_group_is_read_elsewhere(
    plant: Planter, error: int
) -> None:
    tree = plant(TWO_ORPHANS, **OWN_GROUP)

    def scene() -> tuple[Evidence, ...]:
        seccomp.deny("getpgid", error)
        return kill_tree(tree.root.pid, grace=PATIENCE).verified

    assert apart(scene) == (D, G)
    assert tree.all_dead()


@pytest.mark.parametrize("whole", [True, False], ids=["the shell", "the job"])
@pytest.mark.parametrize("options", [NO_SESSION, {}], ids=["no session", "a session"])
def test_a_job_of_a_shell_leaves_no_orphan(
    plant: Planter, *, whole: bool, options: dict[str, Any]
) -> None:
    tree = plant.program(JOB_SHELL, **LINES, **options)
    [job] = said(tree.root)
    result = kill_tree(tree.root if whole else job, grace=PATIENCE)
    assert result.ok
    assert len(result.outcomes) == 3 + whole
    assert (G in result.verified) is not (whole and not options)
    assert tree.all_dead(within=BOUND)


def test_a_contained_shell_without_a_session_of_its_own_leaves_no_orphan() -> None:
    process = TreePopen(JOB_SHELL, start_new_session=False, containment="session", **LINES)
    said(process)
    result = process.stop(grace=PATIENCE)
    assert result.ok
    assert len(result.outcomes) == 4
    assert process.stdout
    process.stdout.close()


@pytest.mark.parametrize("grace", [0, PATIENCE])
@pytest.mark.parametrize("options", [NO_SESSION, {}], ids=["no session", "a session"])
def test_another_part_of_the_pipeline_lives(
    plant: Planter, grace: float, options: dict[str, Any]
) -> None:
    tree = plant.program(["bash", "-c", PIPELINE.format("wait")], **LINES, **options)
    first, second = parts(tree.root)
    result = kill_tree(first, grace=grace)
    assert [outcome.identity.pid for outcome in result.outcomes] == [first]
    assert result.ok
    assert G not in result.verified
    assert runs(second)
    assert kill_tree(tree.root, grace=0).ok
    assert tree.all_dead()


@pytest.mark.usefixtures("over_posix")
def test_over_posix_an_orphan_is_found_and_another_part_of_the_pipeline_lives(
    plant: Planter,
) -> None:
    tree = plant(TWO_ORPHANS, **OWN_GROUP)
    assert kill_tree(tree.root, grace=PATIENCE).verified == (D, G)
    assert tree.all_dead()
    tree = plant.program(["bash", "-c", PIPELINE.format("wait")], **LINES)
    first, second = parts(tree.root)
    result = kill_tree(first, grace=PATIENCE)
    assert len(result.outcomes) == 1
    assert G not in result.verified
    assert runs(second)


@pytest.mark.parametrize("grace", [0, PATIENCE])
def test_another_part_of_the_pipeline_lives_after_its_shell(plant: Planter, grace: float) -> None:
    tree = plant.program(["bash", "-c", PIPELINE.format("wait")], **LINES, **NO_SESSION)
    first, second = parts(tree.root)
    tree.root.kill()
    tree.root.wait()
    result = kill_tree(first, grace=grace)
    assert [outcome.identity.pid for outcome in result.outcomes] == [first]
    assert result.ok
    assert G not in result.verified
    assert runs(second)


def test_where_the_other_part_is_dead_the_group_is_verified(plant: Planter) -> None:
    tree = plant.program(["bash", "-c", PIPELINE.format("wait")], **LINES, **NO_SESSION)
    first, second = parts(tree.root)
    other = psutil.Process(second)
    other.kill()
    other.wait(BOUND)
    assert kill_tree(first, grace=PATIENCE).verified == (D, G)
    assert tree.root.poll() in (None, 0)


def test_an_orphan_of_another_part_of_the_pipeline_looks_the_same(plant: Planter) -> None:
    adopted = "while kill -0 $0; do :; done 2>/dev/null; echo $$ >&3; exec sleep 1000"
    script = f"set -m; exec 3>&1; sleep 1000 | (s=$BASHPID; sh -c '{adopted}' $s &) & wait"
    tree = plant.program(["bash", "-c", script], **LINES, **NO_SESSION)
    [orphan] = said(tree.root)
    snapshot = snapshot_tree(os.getpgid(orphan))
    assert {member.evidence for member in snapshot.members} == {(R,), (G,)}
    assert kill_tree(tree.root, grace=PATIENCE).ok
    assert tree.all_dead()


@pytest.mark.needs("pidfd")
def test_another_part_of_the_pipeline_lives_while_its_shell_dies() -> None:
    assert harmed(DYING_SHELLS) == 0


@pytest.mark.needs("pid namespace", "root")
def test_another_part_of_the_pipeline_of_the_first_process_lives_from_inside(
    plant: Planter,
) -> None:
    end = shlex.join([sys.executable, "-c", END])
    script = PIPELINE.format(f"read line; {IMPORTS} {end} $line; wait")
    tree = plant.program([*FIRST, "bash", "-c", script], stdin=subprocess.PIPE, **LINES)
    first, second = said(tree.root, 2)
    assert tree.root.stdin
    assert tree.root.stdout
    tree.root.stdin.write(f"{first} {second}\n".encode())
    assert tree.root.stdout.readline() == b"1 lives descendant\n"


@pytest.mark.needs("pid namespace", "root")
def test_another_part_of_the_pipeline_of_the_first_process_lives_from_outside(
    plant: Planter,
) -> None:
    tree = plant.program([*FIRST, "bash", "-c", PIPELINE.format("wait")], **LINES)
    said(tree.root, 2)
    [shell] = psutil.Process(tree.root.pid).children()
    numbers = [child.pid for child in shell.children()]
    first = os.getpgid(numbers[0])
    numbers.remove(first)
    result = kill_tree(first, grace=PATIENCE)
    assert [outcome.identity.pid for outcome in result.outcomes] == [first]
    assert result.verified == (D,)
    assert runs(numbers[0])


def pipeline_of_ours() -> tuple[int, tuple[Evidence, ...], int | None]:
    """End the first of two children in a group; say how many died, and what the other did."""
    first = subprocess.Popen(["sleep", "1000"], process_group=0)
    second = subprocess.Popen(["sleep", "1000"], process_group=first.pid)
    result = kill_tree(first, grace=PATIENCE)
    code = second.poll()
    second.kill()
    second.wait()
    return len(result.outcomes), result.verified, code


def test_a_second_child_of_ours_in_the_group_lives() -> None:
    assert pipeline_of_ours() == (1, (D,), None)


def test_a_second_child_that_is_dead_and_not_reaped_is_in_no_doubt() -> None:
    first = subprocess.Popen(["sleep", "1000"], process_group=0)
    with subprocess.Popen(["true"], process_group=first.pid) as second:
        os.waitid(os.P_PID, second.pid, os.WEXITED | os.WNOWAIT)
        assert kill_tree(first, grace=PATIENCE).verified == (D, G)


@pytest.mark.needs("pid namespace")
def test_a_second_child_of_the_first_process_lives() -> None:
    assert in_namespace(pipeline_of_ours) == (1, (D,), None)


def test_a_second_child_of_a_subreaper_lives() -> None:
    def scene() -> tuple[int, tuple[Evidence, ...], int | None]:
        become_subreaper()
        return pipeline_of_ours()

    assert apart(scene) == (1, (D,), None)


@pytest.mark.needs("pid namespace")
def test_the_orphans_below_the_first_process_are_in_doubt() -> None:
    def scene() -> tuple[int, tuple[Evidence, ...]]:
        root = subprocess.Popen(["bash", "-c", JOB], process_group=0, **LINES)
        said(root)
        result = kill_tree(root, grace=PATIENCE)
        return len(result.outcomes), result.verified

    assert in_namespace(scene) == (1, (D,))


def test_a_caller_in_the_pipeline_of_its_target_is_not_refused(plant: Planter) -> None:
    end = shlex.join([sys.executable, "-c", END])
    script = (
        f"set -m; exec 3>&1; sh -c 'echo $$; exec sleep 1000' | (read a; {IMPORTS} {end} $a >&3)"
    )
    tree = plant.program(["bash", "-c", script], **LINES, **NO_SESSION)
    assert tree.root.stdout
    assert tree.root.stdout.readline() == b"1 lives descendant\n"


@pytest.mark.needs("pid namespace", "root", "pidfd inode")
def test_the_orphan_of_a_later_group_with_the_number_lives() -> None:
    def below() -> tuple[list[int], bool]:
        leader = subprocess.Popen(["sleep", "1000"], process_group=0)
        with linux_system.LinuxSystem() as system:
            tree = Tree(system, Aim([]))
            root = system.bind(leader.pid)
            assert root
            tree.add_root(root)
            scan(tree)
            leader.kill()
            leader.wait()
            script = "(sh -c 'echo $$; exec sleep 1000' &)"
            stranger = start_as(leader.pid, ["bash", "-c", script])
            [orphan] = said(stranger)
            stranger.wait()
            assert os.getpgid(orphan) == leader.pid
            return [member.pid for member in scan(tree)], bool(tree.verified & GROUP)

    assert in_namespace(lambda: apart(below)) == ([], False)


def test_only_a_member_that_leads_a_group_has_groups_read(
    plant: Planter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    group = procfs.group

    def count(pid: int) -> int | None:
        asked.append(pid)
        return group(pid)

    monkeypatch.setattr(procfs, "group", count)
    monkeypatch.setattr(procfs, "pids", lambda: pytest.fail("it listed the machine"))
    names = [chain(f"child {number}") for number in range(9)]
    for options in (NO_SESSION, {}):
        tree = plant(Node(name="root", children=tuple(names)), **options)
        assert len(kill_tree(tree.root, grace=0).outcomes) == 10
        assert asked == []
    tree = plant(Node(name="root", children=tuple(names)), **OWN_GROUP)
    assert len(snapshot_tree(tree.root).members) == 10
    candidates = [*asked]
    assert len(candidates) == len(set(candidates))
    assert not set(candidates) & set(tree.pids.values())
