"""Real, and seam where no process can be made to behave so: the system on psutil alone."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator

import psutil
import pytest

from proctree_kill._models.identity import WEAK_TOLERANCE
from proctree_kill._systems.contract import Reply, System
from proctree_kill._systems.member import ALIVE, GONE, ZOMBIE, Member
from proctree_kill._systems.psutil_system import PsutilSystem
from support.nodes import Node, chain
from support.planter import Planter
from support.threads import other_thread

pytestmark = pytest.mark.needs("fork")

PATIENCE = 20.0  # seconds within which something that happens at once has happened


@pytest.fixture
def system() -> Iterator[PsutilSystem]:
    system = PsutilSystem()
    yield system
    system.close()


def bound(system: System, pid: int) -> Member:
    found = system.bind(pid)
    assert found
    return found


def recycled(system: PsutilSystem, pid: int, seconds: float = 60) -> Member:
    """Return a member whose pid another process has, started so much later."""
    member = bound(system, pid)
    system.drop(member)
    assert member.create_time
    member.create_time -= seconds
    return member


def descendants(system: System, root: Member) -> dict[int, int]:
    """Walk down from a root; return each number with its parent's."""
    found: dict[int, int] = {}
    known = {root.pid: root}
    generation = [root]
    system.begin_scan()
    while generation:
        pairs = system.children(generation, known)
        generation = [child for _, child in pairs]
        known |= {child.pid: child for child in generation}
        found |= {child.pid: parent.pid for parent, child in pairs}
    return found


def test_a_member_is_bound_with_its_facts(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(chain("root", "child"))
    child = bound(system, tree.pids["child"])
    process = psutil.Process(child.pid)
    assert (child.ppid, child.name, child.state) == (tree.root.pid, process.name(), ALIVE)
    assert child.create_time == process.create_time()
    assert (child.start, child.inode, child.sid, system.start_clock()) == (None, None, None, 0)
    assert system.owns_number(child)


def test_a_zombie_is_bound_as_dead_until_it_is_reaped(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(Node(name="root", dies=True))
    os.waitid(os.P_PID, tree.root.pid, os.WEXITED | os.WNOWAIT)
    root = bound(system, tree.root.pid)
    assert root.state == ZOMBIE
    assert system.owns_number(root)
    assert system.holds_session(root)
    assert system.wait([root], system.now() + PATIENCE) == [root]
    tree.root.wait()
    assert not system.owns_number(root)
    assert system.bind(tree.root.pid) is None


@pytest.mark.needs("procfs")
def test_a_leader_whose_main_thread_ended_lives(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(Node(name="root", main_thread_ends=True))
    root = bound(system, tree.root.pid)
    assert tree.state("root") == psutil.STATUS_ZOMBIE
    assert root.state == ALIVE
    assert system.wait([root], system.now()) == []
    assert system.kill([root], []) == Reply([], [])
    assert system.wait([root], system.now() + PATIENCE) == [root]


def test_children_are_found_a_generation_at_a_time(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(Node(name="root", children=(chain("a", "b"), chain("c"))))
    pids = tree.pids
    found = descendants(system, bound(system, tree.root.pid))
    assert found == {pids["a"]: pids["root"], pids["c"]: pids["root"], pids["b"]: pids["a"]}


@pytest.mark.needs("procfs", "children file")
def test_the_other_way_to_read_a_tree_finds_the_same(plant: Planter, system: PsutilSystem) -> None:
    from proctree_kill._systems.linux.system import LinuxSystem  # noqa: PLC0415 - not on every system

    names = [chain(f"leaf {number}") for number in range(20)]
    tree = plant(
        Node(name="root", children=(chain("a", "b", "c"), Node(name="d", children=tuple(names))))
    )
    linux = LinuxSystem()
    found = descendants(linux, bound(linux, tree.root.pid))
    linux.close()
    assert found == descendants(system, bound(system, tree.root.pid))
    assert found.keys() | {tree.root.pid} == set(tree.pids.values())


def test_a_zombie_is_no_living_child(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(Node(name="root", reaps=False, children=(Node(name="dead", dies=True),)))
    assert descendants(system, bound(system, tree.root.pid)) == {}


def test_a_known_member_is_not_found_again(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(chain("root", "child"))
    root, child = bound(system, tree.root.pid), bound(system, tree.pids["child"])
    assert system.children([root], {child.pid: child}) == []


def test_a_later_owner_of_a_known_number_is_found(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(chain("root", "child"))
    root, child = bound(system, tree.root.pid), recycled(system, tree.pids["child"])
    [(parent, found)] = system.children([root], {child.pid: child})
    assert (parent, found.pid) == (root, child.pid)
    assert child.state == GONE


def test_a_child_that_is_older_than_its_parent_is_none(
    plant: Planter, system: PsutilSystem
) -> None:
    tree = plant(chain("root", "child"))
    root = bound(system, tree.root.pid)
    assert root.create_time
    root.create_time += 60
    assert descendants(system, root) == {}


def test_a_clock_that_moved_a_little_hides_no_child(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(chain("root", "child"))
    root = bound(system, tree.root.pid)
    assert root.create_time
    root.create_time += WEAK_TOLERANCE / 2
    assert descendants(system, root) == {tree.pids["child"]: root.pid}


def test_the_children_of_a_later_owner_of_the_number_are_not_ours(
    plant: Planter, system: PsutilSystem
) -> None:
    tree = plant(chain("root", "child"))
    assert descendants(system, recycled(system, tree.root.pid)) == {}


def test_a_child_that_vanishes_while_it_is_read_is_none(
    plant: Planter, system: PsutilSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = plant(chain("root"))
    caller = bound(system, os.getpid())
    assert tree.root.pid in {child.pid for _, child in system.children([caller], {})}
    real = psutil.Process.name

    def vanish(process: psutil.Process) -> str:
        tree.root.kill()
        tree.root.wait()
        return real(process)

    monkeypatch.setattr(psutil.Process, "name", vanish)
    assert tree.root.pid not in {child.pid for _, child in system.children([caller], {})}


def test_a_number_that_is_used_again_in_the_middle_of_a_read_is_gone(
    plant: Planter, system: PsutilSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    # psutil lets the error of the file through when the number has a file again.
    def vanish(_: psutil.Process) -> str:
        raise FileNotFoundError

    tree = plant(chain("root"))
    root, caller = bound(system, tree.root.pid), bound(system, os.getpid())
    monkeypatch.setattr(psutil.Process, "status", vanish)
    assert system.wait([root], system.now()) == [root]
    assert system.kill([root], []) == Reply([root], [])
    assert not system.stopped(root.pid)
    monkeypatch.setattr(psutil.Process, "ppid", vanish)
    assert system.ancestors(root.pid) == []
    assert system.children([caller], {}) == []


def test_a_number_is_bound_to_its_process_even_if_the_clock_moved_a_little(
    plant: Planter, system: PsutilSystem
) -> None:
    tree = plant(chain("root"))
    assert system.owns_number(recycled(system, tree.root.pid, WEAK_TOLERANCE / 2))
    assert not system.owns_number(recycled(system, tree.root.pid, WEAK_TOLERANCE * 2))


def test_a_clock_that_jumps_does_not_make_a_stranger_of_a_member(
    plant: Planter, system: PsutilSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = plant(chain("root"))
    root = bound(system, tree.root.pid)
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: 0.0)
    assert system.owns_number(root)


def test_an_unknown_start_never_matches(
    plant: Planter, system: PsutilSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: psutil.Process) -> float:
        raise psutil.AccessDenied(process.pid)

    tree = plant(chain("root"))
    root = bound(system, tree.root.pid)
    system.drop(root)
    monkeypatch.setattr(psutil.Process, "create_time", refuse)
    assert not system.owns_number(root)


def test_a_stopped_process_that_is_asked_can_answer(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(Node(name="root", children=(Node(name="stopped", stopped=True, on_term="exit"),)))
    stopped = bound(system, tree.pids["stopped"])
    assert stopped.stopped
    assert system.stopped(stopped.pid)
    system.ask([stopped], "SIGTERM", system.now(), [])
    assert system.wait([stopped], system.now() + PATIENCE) == [stopped]
    assert stopped.signals[0] == "SIGTERM"


def test_a_frozen_process_stands_still_until_it_is_released(
    plant: Planter, system: PsutilSystem
) -> None:
    tree = plant(chain("root"))
    root = bound(system, tree.root.pid)
    system.freeze([root], [])
    os.waitid(os.P_PID, root.pid, os.WSTOPPED)
    assert system.stopped(root.pid)
    system.release([root])
    os.waitid(os.P_PID, root.pid, os.WCONTINUED)
    assert not system.stopped(root.pid)
    system.kill([root], [])
    assert system.wait([root], system.now() + PATIENCE) == [root]
    assert root.signals == ["SIGSTOP", "SIGCONT", "SIGKILL"]


def test_only_the_member_is_signalled(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(chain("root"))
    stranger = recycled(system, tree.root.pid)
    gone = Reply([stranger], [])
    assert system.ask([stranger], "SIGTERM", system.now(), []) == gone
    assert system.freeze([stranger], []) == gone
    assert system.kill([stranger], []) == gone
    assert stranger.signals == []
    assert system.wait([bound(system, tree.root.pid)], system.now()) == []
    assert not system.stopped(tree.root.pid)


def test_a_process_that_refuses_is_denied_and_the_rest_is_killed(
    plant: Planter, system: PsutilSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = plant(Node(name="root", children=(chain("a"), chain("b"))))
    a, b = bound(system, tree.pids["a"]), bound(system, tree.pids["b"])
    real = psutil.Process.kill

    def refuse(process: psutil.Process) -> None:
        if process.pid == a.pid:
            raise psutil.AccessDenied(process.pid)
        real(process)

    monkeypatch.setattr(psutil.Process, "kill", refuse)
    assert system.kill([a, b], []) == Reply([], [a])
    assert (a.signals, b.signals) == ([], ["SIGKILL"])
    assert system.wait([a, b], system.now() + PATIENCE) == [b]


def test_a_process_that_refuses_because_it_dies_is_gone(
    plant: Planter, system: PsutilSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = plant(chain("root"))
    root = bound(system, tree.root.pid)

    def die(process: psutil.Process) -> None:
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "kill", die)
    assert system.kill([root], []) == Reply([root], [])


@pytest.mark.needs("root", "ordinary user")
def test_another_users_process_is_denied(plant: Planter) -> None:
    from support.callers import apart, unprivileged  # noqa: PLC0415 - not on every system
    from support.users import ordinary_user  # noqa: PLC0415 - not on every system

    tree = plant(chain("root"))

    def ask() -> tuple[list[int], list[int]]:
        with unprivileged(ordinary_user()):
            system = PsutilSystem()
            reply = system.ask([bound(system, tree.root.pid)], "SIGTERM", system.now(), [])
            return [member.pid for member in reply.gone], [member.pid for member in reply.denied]

    assert apart(ask) == ([], [tree.root.pid])


def test_a_wait_for_the_past_only_polls(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(chain("root"))
    root = bound(system, tree.root.pid)
    assert system.wait([root], system.now() - 1) == []
    tree.root.kill()
    os.waitid(os.P_PID, root.pid, os.WEXITED | os.WNOWAIT)
    assert system.wait([root], system.now() - 1) == [root]
    assert root.state == ZOMBIE


def test_a_hurry_wakes_one_wait(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(chain("root"))
    root = bound(system, tree.root.pid)
    start = system.now()
    hurry = threading.Timer(0.05, system.hurry)
    hurry.start()
    assert system.wait([root], start + PATIENCE) == []
    assert system.now() < start + PATIENCE
    assert system.hurried
    hurry.join()
    until = system.now() + 0.05
    assert system.wait([root], until) == []
    assert system.now() >= until


@pytest.mark.parametrize(
    ("on_term", "code"), [("die", -signal.SIGTERM), ("exit", 7)], ids=["signal", "exit"]
)
def test_the_code_of_our_child_is_read_and_left_to_its_owner(
    plant: Planter, system: PsutilSystem, on_term: str, code: int
) -> None:
    tree = plant(Node(name="root", on_term=on_term, exit_code=7))  # type: ignore[arg-type] # a parameter
    root = bound(system, tree.root.pid)
    system.inspect([root])
    assert root.exit_code is None
    system.ask([root], "SIGTERM", system.now(), [])
    assert system.wait([root], system.now() + PATIENCE) == [root]
    system.inspect([root])
    assert root.exit_code == (code if hasattr(os, "waitid") else None)
    assert tree.root.wait() == code


def test_the_code_of_another_process_s_child_is_unknown(
    plant: Planter, system: PsutilSystem
) -> None:
    tree = plant(Node(name="root", reaps=False, children=(chain("child"),)))
    child = bound(system, tree.pids["child"])
    system.kill([child], [])
    assert system.wait([child], system.now() + PATIENCE) == [child]
    system.inspect([child])
    assert child.exit_code is None


def test_a_marker_is_found_in_the_environment(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(chain("root"), marker="PLANTED=a=b c")
    assert system.carries(tree.root.pid, [b"PLANTED=a=b c"])
    assert not system.carries(tree.root.pid, [b"PLANTED=a=b"])
    assert not system.carries(tree.root.pid, [b"PLANTE=a=b c"])
    assert not system.carries(os.getpid(), [b"PLANTED=a=b c"])
    assert tree.root.pid in list(
        system.candidates([], ours=False, children=False, everywhere=False)
    )


def test_the_environment_of_an_uninterruptible_process_is_not_read(
    plant: Planter, system: PsutilSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = plant(chain("root"), marker="PLANTED=1")
    monkeypatch.setattr(psutil.Process, "status", lambda _: psutil.STATUS_DISK_SLEEP)
    monkeypatch.setattr(psutil.Process, "environ", lambda _: pytest.fail("it was read"))
    assert not system.carries(tree.root.pid, [b"PLANTED=1"])


def test_ancestors_are_climbed_to_the_top(plant: Planter, system: PsutilSystem) -> None:
    tree = plant(chain("root", "child"))
    found = system.ancestors(tree.pids["child"])
    assert found[:3] == [tree.root.pid, os.getpid(), os.getppid()]
    assert found == [
        tree.root.pid,
        *(parent.pid for parent in psutil.Process(tree.root.pid).parents()),
    ]


DAY = 86_400.0  # seconds; longer than this process can be older than what it plants


def test_an_ancestor_that_is_younger_than_its_child_ends_the_climb(
    plant: Planter, system: PsutilSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = plant(chain("root", "child"))
    real = psutil.Process.create_time

    def later(process: psutil.Process) -> float:
        return real(process) + (DAY if process.pid == os.getpid() else 0)

    monkeypatch.setattr(psutil.Process, "create_time", later)
    assert system.ancestors(tree.pids["child"]) == [tree.root.pid]


def test_no_session_is_known(system: PsutilSystem) -> None:
    assert system.session(os.getpid()) is None


def test_the_systems_own_processes_are_refused(system: PsutilSystem) -> None:
    assert "kernel" in (system.refusal(0, None) or "")
    assert "init" in (system.refusal(1, system.bind(1)) or "")
    assert system.refusal(os.getpid(), bound(system, os.getpid())) is None


@pytest.mark.needs("procfs")
def test_a_thread_is_refused_by_the_name_of_its_process(system: PsutilSystem) -> None:
    with other_thread() as tid:
        assert system.bind(tid) is None
        assert f"is {os.getpid()}" in (system.refusal(tid, None) or "")


@pytest.mark.needs("procfs")
def test_a_kernel_thread_is_refused(system: PsutilSystem) -> None:
    if psutil.Process(2).name() != "kthreadd":
        pytest.skip("no kernel thread is to be seen here")
    assert "kernel thread" in (system.refusal(2, bound(system, 2)) or "")
    for child in psutil.Process(2).children():
        if thread := system.bind(child.pid):  # it has not ended meanwhile
            assert "kernel thread" in (system.refusal(child.pid, thread) or "")


def test_nothing_is_refused_where_there_is_no_process(system: PsutilSystem) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert system.refusal(process.pid, None) is None
    assert system.bind(process.pid) is None
    assert system.ancestors(process.pid) == []
    assert not system.stopped(process.pid)
    assert not system.carries(process.pid, [b"A=1"])
