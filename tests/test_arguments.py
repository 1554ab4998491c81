"""Real: an argument of the wrong type is refused by name, before anything is touched."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from proctree_kill import (
    Containment,
    KillPolicy,
    Limits,
    SessionManager,
    TreePopen,
    akill_tree,
    arecover,
    arun,
    errors,
    kill_tree,
    recover,
    run,
    snapshot_tree,
)

pytestmark = pytest.mark.needs("fork")

WORDS_OF_PYDANTIC = ("Input should", "validation error", "pydantic", "type=")
WRONG: dict[str, tuple[object, ...]] = {
    "policy": ({}, {"grace": 1}, "1", 1, True, KillPolicy),
    "spare": (1, "1", b"1", [None], ["1"], ["a/b"], ["=1"], {1.0: 1}),
    "on_event": ({}, "print", 1),
    "shutdown": ({}, "print", 1),
    "event_broadcaster": ({}, "print", 1),
    "marker": ({}, b"A=1", 1),
    "directory": (None, 1, b"folder", {}, ""),
    "record": (1, b"session_a.pid", {}, ""),
    "dry_run": (None, "no", 1),
    "bare": (None, "no", 1),
    "containment": ({}, 1, "cgroup", None),
    "limits": ({}, {"memory": "2G"}, "2G", 1, True, Limits),
    "leftovers": ({}, 1, "keep"),
    "linger": ({}, "1", True, -1, float("nan"), float("inf"), 10**400),
    "timeout": ({}, "1", float("nan"), 10**400),
    "idle_timeout": ({}, "1", True, 0, -1, float("nan"), float("inf"), 10**400),
    "max_lifetime": ({}, "1", True, 0, -1, float("nan"), float("inf"), 10**400),
    "grace": ({}, "1", True, -1, float("nan"), 10**400),
    "settle": ({}, "1", True, -1, 10**400),
    "terminate": ({}, "all", 1),
    "teardown": (1, "SIGINT", [1], {"SIGINT": 3}, [("SIGINT", 10**400)]),
    "include_root": ({}, "yes", 1),
    "helper_timeout": ({}, "1", 0, 10**400),
    "tool": (1, b"mcp", {}, None),
    "config": (None, 1, "grace", []),
    "section": (None, 1, b"kill", ["kill"]),
}
KILL = ("policy", "spare", "on_event", "shutdown", "marker", "grace", "settle", "terminate",
        "teardown", "include_root", "helper_timeout")  # fmt: skip
AGENT = ("tool", "shutdown", "spare", "containment", "limits", "idle_timeout", "max_lifetime")
TREE = ("record", "spare", "containment", "limits", "leftovers", "linger")
ENTRIES: dict[str, tuple[str, ...]] = {
    "kill_tree": KILL,
    "akill_tree": KILL,
    "stop": KILL,
    "astop": KILL,
    "snapshot_tree": ("spare", "marker"),
    "recover": ("directory", "policy", "dry_run", "bare"),
    "arecover": ("directory", "policy", "dry_run", "bare"),
    "TreePopen": TREE,
    "run": (*TREE, "timeout", "max_lifetime", "idle_timeout", "grace"),
    "arun": (*TREE, "timeout", "max_lifetime", "idle_timeout", "grace"),
    "wait": ("timeout",),
    "prepare": ("containment", "limits"),
    "SessionManager": ("directory", "policy", "event_broadcaster"),
    "spawn_agent": AGENT,
    "aspawn_agent": AGENT,
    "manager.recover": ("dry_run", "bare"),
    "manager.arecover": ("dry_run", "bare"),
    "KillPolicy": ("grace", "settle", "terminate", "teardown", "include_root", "helper_timeout"),
    "from_config": ("config", "section"),
}


@pytest.fixture
def tree() -> Iterator[TreePopen[bytes]]:
    with TreePopen(["sleep", "1000"]) as process:
        yield process
        process.stop(grace=0)


@pytest.fixture
def entries(tree: TreePopen[bytes], tmp_path: Path) -> dict[str, Callable[..., object]]:
    """Each public entry, with what it needs besides the argument under test."""
    ran = tmp_path / "ran"
    touch = ["touch", str(ran)]
    manager = SessionManager(tmp_path, policy=KillPolicy(grace=0))
    return {
        "kill_tree": lambda **given: kill_tree(tree, **given),
        "akill_tree": lambda **given: akill_tree(tree, **given),
        "stop": tree.stop,
        "astop": tree.astop,
        "snapshot_tree": lambda **given: snapshot_tree(tree, **given),
        "recover": lambda **given: recover(**{"directory": tmp_path, **given}),
        "arecover": lambda **given: arecover(**{"directory": tmp_path, **given}),
        "TreePopen": lambda **given: TreePopen(touch, **given),
        "run": lambda **given: run(touch, **given),
        "arun": lambda **given: arun(touch, **given),
        "wait": tree.wait,
        "prepare": Containment.prepare,
        "SessionManager": lambda **given: SessionManager(**{"directory": tmp_path, **given}),
        "spawn_agent": lambda **given: manager.spawn_agent("a", touch, **given),
        "aspawn_agent": lambda **given: manager.aspawn_agent("a", touch, **given),
        "manager.recover": manager.recover,
        "manager.arecover": manager.arecover,
        "KillPolicy": KillPolicy,
        "from_config": lambda **given: KillPolicy.from_config(**{"config": {}, **given}),
    }


@pytest.mark.parametrize(
    ("entry", "name"), [(entry, name) for entry, names in ENTRIES.items() for name in names]
)
def test_a_wrong_argument_is_named_before_anything_is_touched(
    entries: dict[str, Callable[..., object]],
    tree: TreePopen[bytes],
    tmp_path: Path,
    entry: str,
    name: str,
) -> None:
    for value in WRONG[name]:
        expected = (TypeError, ValueError, errors.SessionError)
        with pytest.raises(expected) as caught:
            call(entries[entry], {name: value})
        text = str(caught.value)
        assert not any(words in text for words in WORDS_OF_PYDANTIC)
        assert {"config": "configuration", "spare": ""}.get(name, name) in text
    assert tree.poll() is None
    assert list(tmp_path.iterdir()) == []


def test_a_command_without_a_program_is_refused(tmp_path: Path) -> None:
    manager = SessionManager(tmp_path)
    for entry in (manager.spawn_agent, manager.aspawn_agent):
        with pytest.raises(ValueError, match=r"cmd is \[\], expected a program"):
            call(partial(entry, "a", []), {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("entry", [entry for entry, names in ENTRIES.items() if "policy" in names])
def test_a_policy_that_is_a_mapping_says_how_to_make_a_policy(
    entries: dict[str, Callable[..., object]], entry: str
) -> None:
    words = r"must be a KillPolicy.* not \{'grace': 1\}; KillPolicy.from_config reads"
    with pytest.raises(TypeError, match=words):
        call(entries[entry], {"policy": {"grace": 1}})


def call(entry: Callable[..., object], given: dict[str, object]) -> None:
    """Call an entry, and await what it returns if that is to be awaited."""
    returned = entry(**given)
    if inspect.iscoroutine(returned):
        asyncio.run(returned)
