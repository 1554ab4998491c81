"""Real: processes that other libraries spawn, contained by hand."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proctree_kill import (
    Containment,
    Evidence,
    KillResult,
    akill_tree,
    errors,
    kill_tree,
    snapshot_tree,
)
from support.pipe_holders import PipeHolders

pytestmark = pytest.mark.needs("fork")

SERVER = Path(__file__).parents[1] / "support" / "stdio_server.py"


@pytest.fixture
def holders(tmp_path: Path) -> Iterator[PipeHolders]:
    """Prepare a tree with a daemon that holds a pipe."""
    with PipeHolders(tmp_path) as holders:
        yield holders


def assert_all_ended(holders: PipeHolders, result: KillResult) -> None:
    """Assert that all three were found and have ended."""
    assert result.ok, result.summary()
    assert len(result.outcomes) == 3
    assert holders.all_dead()


def test_asyncio(holders: PipeHolders) -> None:
    async def scene() -> KillResult:
        containment = Containment.prepare()
        options = containment.popen_kwargs()
        process = await asyncio.create_subprocess_exec(*holders.argv(), **options)
        containment.attach(process)
        assert containment.session
        holders.await_started()
        result = await akill_tree(containment, grace=0)
        assert process.returncode is not None
        return result

    assert_all_ended(holders, asyncio.run(scene()))


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_anyio(holders: PipeHolders, library: str) -> None:
    anyio = pytest.importorskip("anyio")
    pytest.importorskip(library)

    async def scene() -> KillResult:
        containment = Containment.prepare()
        async with await anyio.open_process(
            holders.argv(), **containment.popen_kwargs()
        ) as process:
            containment.attach(process)
            holders.await_started()
            return await akill_tree(containment, grace=0)

    assert_all_ended(holders, anyio.run(scene, backend=library))


def test_pexpect_which_makes_a_session_by_itself(holders: PipeHolders) -> None:
    pexpect = pytest.importorskip("pexpect")
    containment = Containment.prepare()
    command, *args = holders.argv()
    process = pexpect.spawn(command, args, env=containment.popen_kwargs()["env"])
    try:
        containment.attach(process)
        assert containment.session
        holders.await_started()
        assert_all_ended(holders, kill_tree(containment, grace=0))
    finally:
        process.close()


def test_a_spawner_that_takes_an_environment_only_and_gives_no_process(
    holders: PipeHolders,
) -> None:
    containment = Containment.prepare()
    env = containment.popen_kwargs()["env"]
    process = subprocess.Popen(holders.argv(), env=env)
    holders.await_started()
    assert containment.identity is None
    result = kill_tree(containment, grace=0)
    process.wait()
    assert any(Evidence.MARKER in outcome.evidence for outcome in result.outcomes)
    assert_all_ended(holders, result)


def test_the_mcp_client_leaves_a_daemon_that_its_marker_finds(holders: PipeHolders) -> None:
    mcp = pytest.importorskip("mcp")
    from mcp.client.stdio import stdio_client  # noqa: PLC0415 - a part of what may be missing

    containment = Containment.prepare()
    command, *args = holders.argv(sys.executable, str(SERVER))
    env = containment.popen_kwargs(env={})["env"]
    server = mcp.StdioServerParameters(command=command, args=args, env=env)

    async def scene() -> str:
        async with stdio_client(server) as streams, mcp.ClientSession(*streams) as session:
            await session.initialize()
            answer = await session.call_tool("greet", {"name": "you"})
            holders.await_started()
            text: str = answer.content[0].text
            return text

    assert asyncio.run(scene()) == "hello you"
    left = kill_tree(containment, grace=0)
    assert left.ok
    # sh: one that has not become sleep yet
    assert {"sh", "sleep"} & {outcome.name for outcome in left.outcomes}
    assert holders.all_dead()


def test_only_what_was_asked_for_is_added_to_an_environment() -> None:
    containment = Containment.prepare()
    name = containment.marker.partition("=")[0]
    assert containment.popen_kwargs(env={"A": "B"})["env"] == {"A": "B", name: "1"}
    assert containment.popen_kwargs()["env"] == {**os.environ, name: "1"}
    assert name not in os.environ


def test_the_caller_may_keep_the_session(holders: PipeHolders) -> None:
    containment = Containment.prepare(start_new_session=False)
    process = subprocess.Popen(holders.argv(), **containment.popen_kwargs())
    containment.attach(process)
    assert not containment.session
    holders.await_started()
    assert_all_ended(holders, kill_tree(containment, grace=0))


def test_nothing_is_contained_before_the_spawn() -> None:
    containment = Containment.prepare()
    assert snapshot_tree(containment).members == ()
    assert kill_tree(containment, grace=0).outcomes == ()


def test_a_second_root_is_refused_and_the_first_stays(holders: PipeHolders) -> None:
    containment = Containment.prepare()
    process = subprocess.Popen(holders.argv(), **containment.popen_kwargs())
    containment.attach(process)
    holders.await_started()
    with pytest.raises(errors.ContainmentError, match=f"contains process {process.pid} already"):
        containment.attach(process)
    assert_all_ended(holders, kill_tree(containment, grace=0))


def test_an_end_before_the_beginning_ends_nothing_that_comes_later(holders: PipeHolders) -> None:
    containment = Containment.prepare()
    assert kill_tree(containment).outcomes == ()
    process = subprocess.Popen(holders.argv(), **containment.popen_kwargs())
    containment.attach(process)
    holders.await_started()
    assert not containment.is_empty
    assert_all_ended(holders, kill_tree(containment, grace=0))


@pytest.mark.parametrize("wrong", [None, "12", 1.5, True, object()])
def test_what_is_no_started_process_is_refused(wrong: object) -> None:
    containment = Containment.prepare()
    with pytest.raises((TypeError, ValueError)):
        containment.attach(wrong)  # type: ignore[arg-type] # what the test is about
    assert containment.identity is None


def test_a_process_that_is_gone_already_can_be_attached() -> None:
    containment = Containment.prepare()
    process = subprocess.Popen(["true"], **containment.popen_kwargs())
    process.wait()
    containment.attach(process)
    assert kill_tree(containment).ok


def test_a_containment_does_not_keep_its_process_alive() -> None:
    containment = Containment.prepare()
    process = subprocess.Popen(["true"], **containment.popen_kwargs())
    containment.attach(process)
    process.wait()
    del process
    assert kill_tree(containment).ok


def test_it_says_what_it_contains(holders: PipeHolders) -> None:
    containment = Containment.prepare("session")
    assert repr(containment).startswith("<Containment of no process yet: session, PROCTREE_MARK_")
    process = subprocess.Popen(holders.argv(), **containment.popen_kwargs())
    containment.attach(process)
    holders.await_started()
    assert f"process {process.pid}" in repr(containment)
    kill_tree(containment, grace=0)
