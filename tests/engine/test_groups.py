"""Seam: which orphans of a process group belong to a tree, on a system without processes."""

from __future__ import annotations

import os

import pytest

from proctree_kill import Evidence, KillResult, TreeSnapshot, kill_tree, snapshot_tree
from proctree_kill._engine import kill, killing
from proctree_kill._systems.member import Member
from support.fake_system import FakeSystem, Process

D, G = Evidence.DESCENDANT, Evidence.GROUP


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> FakeSystem:
    system = FakeSystem()
    for module in (kill, killing):
        monkeypatch.setattr(module, "current", lambda *_: system)
    return system


def orphan(
    system: FakeSystem, leader: Process, name: str = "orphan", **behaviour: object
) -> Process:
    """Add a process in the group of a leader whose parent died."""
    middle = system.spawn("middle", leader)
    found = system.spawn(name, middle, **behaviour)
    system.die(middle)
    middle.reaped = True
    return found


def join(system: FakeSystem, leader: Process) -> None:
    """Put the caller into a group, and among the candidates."""
    system.caller.pgid = leader.pid
    vars(system).update(candidates=lambda *_, **__: [*system.processes])


def names(found: TreeSnapshot | KillResult) -> set[str | None]:
    members = found.outcomes if isinstance(found, KillResult) else found.members
    return {member.name for member in members}


def test_an_orphan_in_the_group_of_the_root_is_a_member_below_it(system: FakeSystem) -> None:
    root = system.spawn("root", groups=True)
    orphan(system, root)
    member, last = snapshot_tree(root.pid).members
    assert (member.name, member.evidence, member.depth) == ("orphan", (G,), 1)
    assert last.evidence == (Evidence.ROOT,)
    result = kill_tree(root.pid)
    assert system.living() == set()
    assert result.verified == (D, G)


def test_what_an_orphan_started_and_lost_is_found_too(system: FakeSystem) -> None:
    root = system.spawn("root", groups=True)
    first = orphan(system, root)
    orphan(system, first, "second")
    system.spawn("child", first)
    assert names(snapshot_tree(root.pid)) == {"root", "orphan", "second", "child"}


def test_an_orphan_in_a_group_that_no_member_leads_is_not_a_member(system: FakeSystem) -> None:
    leader = system.spawn("leader", groups=True)
    root = system.spawn("root", leader)
    orphan(system, root)
    assert names(kill_tree(root.pid)) == {"root"}
    assert system.living() == {"leader", "orphan"}


def test_a_group_of_a_session_that_a_member_leads_is_not_searched(system: FakeSystem) -> None:
    root = system.spawn("root", leads=True)
    orphan(system, system.spawn("job", root, groups=True))
    found = {member.name: member.evidence for member in snapshot_tree(root.pid).members}
    assert found["orphan"] == (Evidence.SESSION,)
    assert kill_tree(root.pid).verified == (D, Evidence.SESSION)


@pytest.mark.parametrize("shell_lives", [True, False])
def test_another_part_of_the_pipeline_lives_and_is_in_doubt(
    system: FakeSystem, *, shell_lives: bool
) -> None:
    shell = system.spawn("shell")
    first = system.spawn("first", shell, groups=True)
    second = system.spawn("second", shell, pgid=first.pid)
    system.spawn("third", second)
    if not shell_lives:
        system.die(shell)
    result = kill_tree(first.pid)
    assert names(result) == {"first"}
    assert result.ok
    assert result.verified == (D,)
    assert {"second", "third"} <= system.living()


def test_where_no_process_is_in_doubt_the_group_is_verified(system: FakeSystem) -> None:
    shell = system.spawn("shell")
    first = system.spawn("first", shell, groups=True)
    system.die(system.spawn("second", shell, pgid=first.pid))
    system.die(shell)
    assert kill_tree(first.pid).verified == (D, G)


def test_the_jobs_of_a_dead_member_leave_no_orphan(system: FakeSystem) -> None:
    shell = system.spawn("shell")
    job = system.spawn("job", shell, groups=True, leaves=0.25)
    system.at(0.125, lambda: orphan(system, job))
    result = kill_tree(shell.pid)
    assert names(result) == {"shell", "job", "orphan"}
    assert system.living() == set()
    assert result.verified == (D, G)


def test_an_orphan_is_in_doubt_once_the_parent_of_the_leader_is_dead(system: FakeSystem) -> None:
    shell = system.spawn("shell")
    job = system.spawn("job", shell, groups=True, leaves=0.25)
    system.at(0.125, lambda: system.die(shell))
    system.at(0.1875, lambda: orphan(system, job))
    result = kill_tree(job.pid)
    assert names(result) == {"job"}
    assert result.verified == (D,)
    assert system.living() == {"orphan"}


def test_a_process_that_loses_its_parent_during_the_search_is_in_doubt(system: FakeSystem) -> None:
    shell = system.spawn("shell")
    first = system.spawn("first", shell, groups=True)
    second = system.spawn("second", shell, pgid=first.pid)
    ancestors, bind = system.ancestors, system.bind

    def asked(pid: int) -> list[int]:
        return [1] if pid == second.pid else ancestors(pid)

    def bound(pid: int) -> Member | None:
        if pid == second.pid:
            system.die(shell)
        return bind(pid)

    vars(system).update(ancestors=asked, bind=bound)
    result = kill_tree(first.pid)
    assert names(result) == {"first"}
    assert result.verified == (D,)
    assert "second" in system.living()


def test_a_number_that_was_free_since_means_another_group(system: FakeSystem) -> None:
    root = system.spawn("root", groups=True, leaves=0.25)
    stranger = orphan(system, root)
    stranger.pgid = 1

    def reuse() -> None:
        root.reaped = True
        vars(system).update(holds_session=lambda _: False)
        stranger.pgid = root.pid

    system.at(0.375, reuse)
    system.spawn("child", root, leaves=0.5, pgid=1)
    result = kill_tree(root.pid)
    assert names(result) == {"root", "child"}
    assert result.verified == (D,)
    assert system.living() == {"orphan"}


def test_a_spared_leader_keeps_its_orphans(system: FakeSystem) -> None:
    shell = system.spawn("shell")
    job = system.spawn("job", shell, groups=True)
    orphan(system, job)
    assert names(snapshot_tree(shell.pid, spare=[job.pid])) == {"shell", "job"}


def test_the_orphans_of_a_root_that_stays_are_its_descendants(system: FakeSystem) -> None:
    root = system.spawn("root", groups=True)
    orphan(system, root)
    assert names(kill_tree(root.pid, include_root=False)) == {"orphan"}
    assert system.living() == {"root"}


def test_a_snapshot_names_the_orphans_of_a_group(system: FakeSystem) -> None:
    root = system.spawn("root", groups=True)
    orphan(system, root)
    snapshot = snapshot_tree(root.pid)
    system.die(root)
    root.reaped = True
    orphan(system, root, "later")
    result = kill_tree(snapshot)
    assert names(result) == {"root", "orphan"}
    assert result.ok
    assert G not in result.verified
    assert system.living() == {"later"}


def test_a_caller_in_the_pipeline_of_the_target_is_no_part_of_its_tree(system: FakeSystem) -> None:
    shell = system.spawn("shell")
    first = system.spawn("first", shell, groups=True)
    shell.ppid = 1
    system.caller.ppid = shell.pid
    join(system, first)
    assert snapshot_tree(first.pid).refusal is None
    assert names(kill_tree(first.pid)) == {"first"}


def test_a_caller_that_is_an_orphan_of_the_target_is_refused(system: FakeSystem) -> None:
    shell = system.spawn("shell")
    first = system.spawn("first", shell, groups=True)
    join(system, first)
    assert f"holds the caller ({os.getpid()})" in str(snapshot_tree(first.pid).refusal)
