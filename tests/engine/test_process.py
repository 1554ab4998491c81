"""Real: an identity names one process, whatever becomes of its number."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import ProcessIdentity, errors, identify, kill_tree, snapshot_tree
from support.capabilities import has
from support.nodes import Node
from support.planter import Planter
from support.threads import other_thread
from support.trees import start_ticks


def test_identify_tells_what_the_system_knows(plant: Planter) -> None:
    pid = plant(Node(name="root")).root.pid
    found = identify(pid)
    assert found.pid == pid
    assert found.same_process(identify(pid)) is True
    assert found.weak is (found.start is None)


@pytest.mark.needs("procfs", "pidfd")
def test_on_linux_identity_is_boot_start_and_inode(plant: Planter) -> None:
    pid = plant(Node(name="root")).root.pid
    found = identify(pid)
    assert found.start == start_ticks(pid)
    assert found.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert (found.inode is not None) is has("pidfd inode")
    assert found.inode is None or found.inode != identify(os.getpid()).inode


def test_an_identity_survives_json(plant: Planter) -> None:
    found = identify(plant(Node(name="root")).root.pid)
    assert ProcessIdentity.model_validate_json(found.model_dump_json()) == found


def test_a_zombie_still_has_an_identity(plant: Planter) -> None:
    tree = plant(Node(name="root"))
    before = identify(tree.root.pid)
    tree.root.kill()
    assert tree.all_dead(within=10)
    assert identify(tree.root.pid).same_process(before) is True


def test_identifying_no_process_is_a_lookup_error() -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", ""]) as child:
        pid = child.pid
    if not has("fork"):
        pid |= 1  # Windows keeps a number while a handle is open; no process has an odd number
    with pytest.raises(ProcessLookupError, match=f"no process {pid}"):
        identify(pid)


@pytest.mark.needs("procfs")
def test_identifying_a_thread_names_its_process() -> None:
    refused = pytest.raises(errors.TargetRefusedError, match=f"of that thread is {os.getpid()}")
    with other_thread() as tid, refused:
        identify(tid)


@pytest.mark.parametrize("text", [":8000", "nginx"])
@pytest.mark.parametrize("call", [identify, kill_tree, snapshot_tree])
def test_a_port_and_a_name_are_for_the_command_line(call: Callable[..., Any], text: str) -> None:
    words = rf"must be an int, not str \('{text}'\); only the command line takes a name or :PORT"
    with pytest.raises(TypeError, match=words):
        call(text)


@pytest.mark.parametrize("bad", [True, 1.5, "1", None])
def test_only_an_integer_can_be_identified(bad: object) -> None:
    with pytest.raises(TypeError, match="a pid must be an int"):
        identify(bad)  # type: ignore[arg-type] # that is the point


@pytest.mark.parametrize("bad", [0, -1, 2**32])
def test_only_the_number_of_a_process_can_be_identified(bad: int) -> None:
    with pytest.raises(errors.TargetRefusedError, match=str(bad)):
        identify(bad)


def test_a_number_wider_than_any_pid_is_no_process() -> None:
    with pytest.raises(ProcessLookupError):
        identify(2**31)


def test_an_identity_whose_process_is_gone_touches_nothing(plant: Planter) -> None:
    tree = plant(Node(name="root"))
    old = identify(tree.root.pid).model_copy(update={"start": 1, "inode": 1, "create_time": 1.0})
    result = kill_tree(old)
    assert result.ok
    assert result.root is not None
    assert "belongs to" in str(result.root.detail)
    assert tree.root.poll() is None


def test_an_identity_that_cannot_be_compared_is_refused(plant: Planter) -> None:
    tree = plant(Node(name="root"))
    unknown = ProcessIdentity(pid=tree.root.pid)
    with pytest.raises(errors.TargetRefusedError, match="too weak to tell"):
        kill_tree(unknown)
    assert "too weak to tell" in str(snapshot_tree(unknown).refusal)
    assert tree.root.poll() is None


@pytest.mark.needs("pidfd")
def test_without_an_inode_the_start_decides(plant: Planter) -> None:
    found = identify(plant(Node(name="root")).root.pid)
    assert found.same_process(found.model_copy(update={"inode": None})) is True
    if has("procfs"):
        assert found.same_process(found.model_copy(update={"boot_id": "another"})) is False
