"""Seam: a kqueue made of pidfds, refusals; real: processes, their sessions and groups."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import psutil
import pytest

from proctree_kill._systems.contract import Reply
from proctree_kill._systems.member import ALIVE, Member
from proctree_kill._systems.posix import system as posix_system
from proctree_kill._systems.posix.system import PosixSystem
from support import kqueue
from support.callers import apart
from support.nodes import Node, chain
from support.planter import Planter

pytestmark = pytest.mark.needs("fork", "pidfd")

PATIENCE = 20.0  # seconds within which something that happens at once has happened


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[PosixSystem]:
    monkeypatch.setattr(posix_system, "KQUEUE", True)
    monkeypatch.setattr(posix_system, "_select", kqueue)
    system = PosixSystem()
    yield system
    system.close()


@pytest.fixture(params=["kqueue", "plain"])
def either(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PosixSystem]:
    monkeypatch.setattr(posix_system, "KQUEUE", request.param == "kqueue")
    monkeypatch.setattr(posix_system, "_select", kqueue)
    system = PosixSystem()
    yield system
    system.close()


def queue_of(system: PosixSystem) -> kqueue.Queue:
    assert system._exits
    queue = system._exits._queue
    assert isinstance(queue, kqueue.Queue)
    return queue


def bound(system: PosixSystem, pid: int) -> Member:
    found = system.bind(pid)
    assert found
    return found


def test_an_exit_that_the_kernel_announces_ends_the_wait(
    plant: Planter, system: PosixSystem
) -> None:
    tree = plant(chain("root", "child"))
    members = [bound(system, pid) for pid in tree.pids.values()]
    assert system.wait(members, system.now()) == []
    child = next(member for member in members if member.pid == tree.pids["child"])
    system.kill([child], [])
    assert system.wait(members, system.now() + PATIENCE) == [child]
    assert child.state != ALIVE


def test_a_process_that_died_before_it_was_watched_is_dead_at_once(
    plant: Planter, system: PosixSystem
) -> None:
    tree = plant(chain("root"))
    root = bound(system, tree.root.pid)
    tree.root.kill()
    os.waitid(os.P_PID, tree.root.pid, os.WEXITED | os.WNOWAIT)
    assert system.wait([root], system.now() + PATIENCE) == [root]
    assert system.owns_number(root)


def test_an_announcement_alone_is_not_believed(plant: Planter, system: PosixSystem) -> None:
    tree = plant(chain("root"))
    root = bound(system, tree.root.pid)
    queue_of(system).hints.append(root.pid)
    assert system.wait([root], system.now() + 0.2) == []
    system.kill([root], [])
    assert system.wait([root], system.now() + PATIENCE) == [root]


def test_an_exit_that_comes_just_after_its_announcement_is_waited_for(
    plant: Planter, system: PosixSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posix_system, "CONFIRMATION", PATIENCE)
    tree = plant(chain("root"))
    root = bound(system, tree.root.pid)
    queue_of(system).hints.append(root.pid)
    later = threading.Timer(0.1, tree.root.kill)
    later.start()
    assert system.wait([root], system.now() + PATIENCE) == [root]
    assert os.waitid(os.P_PID, root.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT), "it can be reaped"
    later.join()


def test_a_later_owner_of_the_number_is_not_waited_for(plant: Planter, system: PosixSystem) -> None:
    tree = plant(chain("root"))
    root = recycled(system, tree.root.pid)
    assert system.wait([root], system.now() + PATIENCE) == [root]
    owner = bound(system, tree.root.pid)
    assert system.wait([owner], system.now()) == []
    system.kill([owner], [])
    assert system.wait([owner], system.now() + PATIENCE) == [owner]


def test_a_process_that_may_not_be_watched_is_polled(plant: Planter, system: PosixSystem) -> None:
    tree = plant(chain("root"))
    root = bound(system, tree.root.pid)
    queue_of(system).refused.add(root.pid)
    system.kill([root], [])
    assert system.wait([root], system.now() + PATIENCE) == [root]


def test_a_hurry_wakes_the_wait_that_runs(plant: Planter, either: PosixSystem) -> None:
    tree = plant(chain("root"))
    root = bound(either, tree.root.pid)
    start = either.now()
    hurry = threading.Timer(0.05, either.hurry)
    hurry.start()
    assert either.wait([root], start + PATIENCE) == []
    assert either.now() < start + PATIENCE
    assert either.hurried
    hurry.join()


def test_a_hurry_wakes_one_wait_and_no_more(plant: Planter, either: PosixSystem) -> None:
    tree = plant(chain("root"))
    root = bound(either, tree.root.pid)
    either.hurry()
    start = either.now()
    assert either.wait([root], start + PATIENCE) == []
    assert either.now() < start + PATIENCE
    until = either.now() + 0.05
    assert either.wait([root], until) == []
    assert either.now() >= until


def test_a_whole_group_is_stopped_and_killed_with_its_session_leader(
    plant: Planter, system: PosixSystem
) -> None:
    tree = plant(chain("root", "child"))
    root = bound(system, tree.root.pid)
    assert root.sid == root.pid
    system.freeze([root], [root])
    deadline = system.now() + PATIENCE
    while not system.stopped(tree.pids["child"]):  # only the parent gets an event for a stop
        assert system.now() < deadline
    assert system.wait([root], system.now()) == []
    assert root.signals == ["SIGSTOP"]
    system.kill([root], [root])
    assert tree.all_dead(within=PATIENCE)


def test_no_group_is_signalled_by_the_number_of_a_process_that_leads_none(
    plant: Planter, system: PosixSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = plant(chain("root", "child"))
    root, child = (bound(system, pid) for pid in (tree.root.pid, tree.pids["child"]))
    forbid_groups(monkeypatch)
    reply = system.freeze([child], [child])
    assert reply == Reply([], [])
    stranger = recycled(system, tree.root.pid)
    assert system.kill([], [stranger]) == Reply([], [])
    assert not system.stopped(root.pid)


def test_a_group_that_refuses_proves_nothing_and_each_member_is_signalled(
    plant: Planter, system: PosixSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    tree = plant(chain("root", "child"))
    monkeypatch.setattr(os, "killpg", refuse)
    root, child = (bound(system, pid) for pid in (tree.root.pid, tree.pids["child"]))
    assert system.freeze([child, root], [root]) == Reply([], [])
    assert system.kill([child, root], [root]) == Reply([], [])
    assert root.signals == child.signals == ["SIGSTOP", "SIGKILL"]
    assert tree.all_dead(within=PATIENCE)


def test_a_session_that_cannot_be_read_is_none(
    system: PosixSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> int:
        raise PermissionError

    assert system.session(os.getpid()) == os.getsid(0)
    monkeypatch.setattr(os, "getsid", refuse)
    assert system.session(os.getpid()) is None


def test_a_group_that_cannot_be_read_is_none(
    system: PosixSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> int:
        raise PermissionError

    assert system.group(os.getpid()) == os.getpgrp()
    monkeypatch.setattr(os, "getpgid", refuse)
    assert system.group(os.getpid()) is None


def test_the_session_of_a_dead_leader_is_its_own_until_the_number_is_reused(
    plant: Planter, system: PosixSystem
) -> None:
    tree = plant(Node(name="root", dies=True, children=(chain("child"),)))
    root = bound(system, tree.root.pid)
    assert system.holds_session(root)
    tree.root.wait()
    assert not system.owns_number(root)
    assert system.holds_session(root)
    assert not system.holds_session(recycled(system, tree.pids["child"]))


def test_a_clock_that_was_set_back_between_two_starts_hides_no_child(
    plant: Planter, system: PosixSystem
) -> None:
    tree = plant(chain("root", "child"))
    root = bound(system, tree.root.pid)
    assert root.create_time
    root.create_time += 3600
    found = system.children([root], {root.pid: root})
    assert [(parent, child.pid) for parent, child in found] == [(root, tree.pids["child"])]


def test_everything_is_given_back(monkeypatch: pytest.MonkeyPatch, plant: Planter) -> None:
    monkeypatch.setattr(posix_system, "KQUEUE", True)
    monkeypatch.setattr(posix_system, "_select", kqueue)
    tree = plant(chain("root"))

    def scene() -> list[int]:
        process = psutil.Process()
        counts = [process.num_fds()]
        system = PosixSystem()
        assert system.wait([bound(system, tree.root.pid)], system.now() + 0.01) == []
        counts.append(process.num_fds())
        system.close()
        return [*counts, process.num_fds()]

    before, meanwhile, after = apart(scene)  # no other thread opens or closes any
    assert meanwhile > before == after


def recycled(system: PosixSystem, pid: int) -> Member:
    """Return a member whose pid another process has by now."""
    member = bound(system, pid)
    system.drop(member)
    assert member.create_time
    member.create_time -= 60
    return member


def forbid_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test when a group is signalled."""

    def fail(pid: int, number: signal.Signals) -> None:
        pytest.fail(f"{number!r} was sent to the group {pid}")

    monkeypatch.setattr(os, "killpg", fail)
