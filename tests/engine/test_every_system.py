"""Real: whole trees ended on every system, Windows as well, planted by loopback sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid

import psutil
import pytest

from proctree_kill import (
    Evidence,
    Fate,
    SpareCandidate,
    akill_tree,
    errors,
    identify,
    kill_tree,
    snapshot_tree,
)
from support.burning import BURN, SEEN, ready
from support.nodes import Node, chain
from support.outcomes import fates
from support.socket_planter import SocketPlanter
from support.times import PATIENCE

POLITE = not hasattr(signal, "CTRL_BREAK_EVENT")  # whether a plain process can be asked to leave
LEFT = Fate.TERMINATED if POLITE else Fate.KILLED
SENT = "SIGTERM" if POLITE else "TerminateProcess"


def test_a_tree_of_three_levels_is_ended_and_reported(planter: SocketPlanter) -> None:
    root = planter.plant(Node(name="root", children=(chain("a", "b"), chain("c"))))
    result = kill_tree(root, grace=PATIENCE)
    assert planter.living() == []
    assert planter.all_dead()
    assert result.ok
    assert fates(planter.pids, result) == dict.fromkeys(("root", "a", "b", "c"), LEFT)
    assert all(SENT in outcome.signals for outcome in result.outcomes)
    assert [outcome.identity.pid for outcome in result.outcomes][-1] == root.pid
    assert result.forced is not POLITE
    assert root.returncode is not None


def test_force_at_once_ends_the_whole_tree(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root", "child", "grandchild"))
    result = kill_tree(root.pid, grace=0)
    assert planter.all_dead()
    assert fates(planter.pids, result) == dict.fromkeys(
        ("root", "child", "grandchild"), Fate.KILLED
    )


def test_a_middle_that_restarts_its_worker_leaves_no_process(planter: SocketPlanter) -> None:
    middle = Node(name="middle", restarts=True, children=(chain("worker"),))
    root = planter.plant(Node(name="root", children=(middle,)))
    result = kill_tree(root, grace=0)
    assert planter.all_dead()
    assert result.ok


def test_a_predicate_reads_the_command_line_of_each_process_now(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root", "child"))
    read = {}

    def is_child(candidate: SpareCandidate) -> bool:
        read[candidate.identity.pid] = candidate.command_line()
        assert not {"command_line", "_read"} & {*candidate.model_dump()}
        return candidate.identity.pid == planter.pids["child"]

    found = snapshot_tree(root, spare=is_child)
    assert {member.identity.pid for member in found.members if member.spared} == {
        planter.pids["child"]
    }
    expected = {pid: tuple(psutil.Process(pid).cmdline()) for pid in planter.pids.values()}
    assert read == expected
    kept: list[SpareCandidate] = []
    kill_tree(root, grace=0, spare=kept.append)
    assert planter.all_dead()
    assert [candidate.command_line() for candidate in kept] == [None, None]


def test_programs_and_markers_are_spared(planter: SocketPlanter) -> None:
    marker = f"PLANTED_{uuid.uuid4().hex.upper()}=1"
    name, _, value = marker.partition("=")
    root = planter.plant(chain("root", "child"), env={**os.environ, name: value})
    program = psutil.Process(root.pid).name()
    if program.endswith(".exe"):
        program = program.removesuffix(".exe").upper()
    below = f"below {root.pid}"
    for spare, why in ((program, f"by its name {program}"), (marker, f"by its marker {marker}")):
        found = snapshot_tree(root, spare=["no-such", "NO_SUCH=1", spare])
        assert {member.identity.pid: member.spared for member in found.members} == {
            root.pid: why,
            planter.pids["child"]: below,
        }
    result = kill_tree(root, grace=0, spare=["no-such", "NO_SUCH=1"])
    assert planter.all_dead()
    assert not any(outcome.spared for outcome in result.outcomes)


def test_twenty_at_once_are_ended(planter: SocketPlanter) -> None:
    names = [f"child {number}".replace(" ", "-") for number in range(20)]
    root = planter.plant(Node(name="root", children=tuple(chain(name) for name in names)))
    result = kill_tree(root, grace=PATIENCE)
    assert planter.all_dead()
    assert fates(planter.pids, result) == dict.fromkeys((*names, "root"), LEFT)


def test_an_orphan_is_found_by_its_marker(planter: SocketPlanter) -> None:
    marker = f"PLANTED_{uuid.uuid4().hex.upper()}=1"
    name, _, value = marker.partition("=")
    middle = Node(name="middle", dies=True, children=(chain("orphan", "x"),))
    tree = Node(name="root", children=(middle, chain("child")))
    root = planter.plant(tree, env={**os.environ, name: value})
    result = kill_tree(root, grace=PATIENCE, marker=marker)
    assert planter.all_dead()
    found = fates(planter.pids, result)
    was_orphan = "middle" not in found  # its socket is closed a moment before it is dead
    found.pop("middle", None)
    assert found == dict.fromkeys(("root", "child", "orphan", "x"), LEFT)
    orphan = next(
        outcome for outcome in result.outcomes if outcome.identity.pid == planter.pids["orphan"]
    )
    assert Evidence.MARKER in orphan.evidence or not was_orphan


def test_the_dry_run_names_the_same_and_touches_nothing(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root", "child"))
    snapshot = snapshot_tree(root)
    assert snapshot.refusal is None
    assert len(planter.living()) == 2
    result = kill_tree(snapshot, grace=PATIENCE)
    assert planter.all_dead()
    assert {member.identity for member in snapshot.members} == {
        outcome.identity for outcome in result.outcomes
    }


def test_a_spared_process_lives_with_all_its_descendants(planter: SocketPlanter) -> None:
    root = planter.plant(Node(name="root", children=(chain("spared", "below"), chain("other"))))
    result = kill_tree(root, grace=PATIENCE, spare=[planter.pids["spared"]])
    assert fates(planter.pids, result) == {
        "root": LEFT,
        "other": LEFT,
        "spared": Fate.SPARED,
        "below": Fate.SPARED,
    }
    assert sorted(process.pid for process in planter.living()) == sorted(
        planter.pids[name] for name in ("spared", "below")
    )


def test_the_root_may_stay(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root", "child", "grandchild"))
    result = kill_tree(root, grace=PATIENCE, include_root=False)
    assert fates(planter.pids, result) == {"child": LEFT, "grandchild": LEFT}
    assert [process.pid for process in planter.living()] == [root.pid]
    assert root.poll() is None


def test_what_is_gone_is_no_error(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root"))
    identity = identify(root.pid)
    assert kill_tree(root, grace=0).ok
    for target in (root, identity):
        again = kill_tree(target, grace=0)
        assert [outcome.fate for outcome in again.outcomes] == [Fate.ALREADY_GONE]
    assert root.poll() is not None


def test_an_identity_names_the_process_and_survives_json(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root"))
    identity = identify(root.pid)
    assert type(identity).model_validate_json(identity.model_dump_json()) == identity
    assert identity.same_process(identify(root.pid))
    assert not identity.same_process(identify(os.getpid()))
    assert kill_tree(identity, grace=PATIENCE).ok
    assert planter.all_dead()


def test_the_caller_is_refused_and_its_children_are_not(planter: SocketPlanter) -> None:
    planter.plant(chain("root", "child"))
    for target in (os.getpid(), os.getppid()):
        with pytest.raises(errors.TargetRefusedError):
            kill_tree(target)
    assert len(planter.living()) == 2


def test_an_awaited_kill_ends_the_tree(planter: SocketPlanter) -> None:
    root = planter.plant(chain("root", "child"))
    result = asyncio.run(akill_tree(root, grace=PATIENCE))
    assert planter.all_dead()
    assert fates(planter.pids, result) == {"root": LEFT, "child": LEFT}
    assert root.returncode is not None


def test_several_trees_share_one_call(planter: SocketPlanter) -> None:
    roots = [planter.plant(chain(f"root-{number}", f"child-{number}")) for number in range(3)]
    result = kill_tree(roots, grace=PATIENCE)
    assert planter.all_dead()
    assert len(result.outcomes) == 6
    assert all(root.poll() is not None for root in roots)


def test_the_cpu_time_of_a_tree_is_in_the_result() -> None:
    with ready(BURN) as process:
        result = kill_tree(process.pid, grace=0)
    assert result.usage
    assert result.usage.cpu >= SEEN
