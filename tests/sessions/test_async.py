"""Real: a manager on asyncio and on trio, whole and cancelled at random moments."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from proctree_kill import SessionManager, SessionState, errors, identify
from support.agents import FOREVER, PATIENT, POLITE, STUBBORN, files, start
from support.cancellations import cancel_at_random
from support.counts import CANCELLATIONS
from support.listener import Listener
from support.loops import on_both
from support.planter import Planter
from support.records import dead_owner, new_marker, write

pytestmark = pytest.mark.needs("fork")


@on_both
def test_a_session_from_its_start_to_its_end(
    loop: Callable[..., Any], plant: Planter, tmp_path: Path, listener: Listener
) -> None:
    async def scene() -> None:
        manager = SessionManager(tmp_path, policy=PATIENT, event_broadcaster=listener)
        async with manager:
            with plant.prepare(POLITE) as prepared:
                session = await manager.aspawn_agent("a", prepared.argv, **prepared.options)
            prepared.tree.await_started()
            assert session.state is SessionState.RUNNING
            assert files(tmp_path) == {"session_a.pid"}
            result = await manager.astop_agent("a")
            assert (result.success, result.method) == (True, "terminated")
            assert prepared.tree.all_dead()
            assert (await manager.astop_agent("a")).method == "nothing_to_stop"
            assert await manager.astop_all() == {}

    loop(scene)
    assert listener.names() == ["started", "stopping", "stopped"]


@on_both
def test_the_end_of_the_block_stops_every_session(
    loop: Callable[..., Any], plant: Planter, tmp_path: Path
) -> None:
    async def scene() -> list[Any]:
        async with SessionManager(tmp_path, policy=PATIENT) as manager:
            return [start(manager, plant, name, POLITE)[1] for name in "abc"]

    assert all(tree.all_dead() for tree in loop(scene))
    assert files(tmp_path) == set()


@on_both
def test_a_cancelled_stop_forces_finishes_and_stays_cancelled(
    loop: Callable[..., Any], plant: Planter, tmp_path: Path, listener: Listener
) -> None:
    async def scene() -> bool:
        manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=listener)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(manager.astop_agent, "a")
                await anyio.to_thread.run_sync(listener.wait, "stopping")
                scope.cancel()
        assert dict(manager.sessions) == {}
        return scope.cancelled_caught

    manager = SessionManager(tmp_path, policy=FOREVER)
    session, tree = start(manager, plant, "a", STUBBORN)
    assert loop(scene)
    assert tree.all_dead()
    assert session.process
    session.process.wait()
    listener.wait("stopped")
    assert listener.names() == ["stopping", "stopped"]


@on_both
def test_a_second_stop_forces(loop: Callable[..., Any], plant: Planter, tmp_path: Path) -> None:
    async def scene() -> list[Any]:
        results = []
        listener = Listener()
        manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=listener)
        _, tree = start(manager, plant, "a", STUBBORN)

        async def stop() -> None:
            results.append(await manager.astop_agent("a"))

        async with anyio.create_task_group() as group:
            group.start_soon(stop)
            await anyio.to_thread.run_sync(listener.wait, "stopping")
            group.start_soon(stop)
        assert tree.all_dead()
        return results

    first, second = loop(scene)
    assert first == second
    assert first.method == "killed"


@on_both
def test_a_recovery_is_awaited_and_reported(
    loop: Callable[..., Any], plant: Planter, tmp_path: Path, listener: Listener
) -> None:
    marker = new_marker()
    tree = plant(POLITE, marker=marker)
    write(tmp_path, "a", owner=dead_owner(plant), identity=identify(tree.root.pid), marker=marker)

    async def scene() -> str:
        async with SessionManager(tmp_path, policy=PATIENT, event_broadcaster=listener) as manager:
            assert (await manager.arecover(dry_run=True)).summary() == "would be: 1 ended"
            return (await manager.arecover()).summary()

    assert loop(scene) == "1 ended"
    assert listener.names() == ["recovered"]
    assert tree.all_dead()


@on_both
def test_what_cannot_be_started_is_raised_and_leaves_nothing(
    loop: Callable[..., Any], manager: SessionManager, tmp_path: Path
) -> None:
    async def scene() -> None:
        with pytest.raises(FileNotFoundError):
            await manager.aspawn_agent("a", ["no-such-program"])
        with pytest.raises(errors.SessionError):
            await manager.aspawn_agent("../x", ["true"])

    loop(scene)
    assert files(tmp_path) == set()
    assert dict(manager.sessions) == {}


@pytest.mark.needs("setpriv")
def test_an_agent_that_dies_with_its_parent_s_thread_outlives_the_call(
    manager: SessionManager,
) -> None:
    """PR_SET_PDEATHSIG (prctl(2)) goes by the thread, not by the process."""

    async def scene() -> SessionState:
        session = await manager.aspawn_agent(
            "a",
            ["setpriv", "--pdeathsig", "KILL", "sh", "-c", "echo up; exec sleep 1000"],
            stdout=subprocess.PIPE,
        )
        assert session.process.stdout
        with session.process.stdout as said:
            assert await asyncio.to_thread(said.readline) == b"up\n"
        assert (await manager.astop_agent("a")).method == "terminated"
        return session.state

    assert asyncio.run(scene()) is SessionState.STOPPED


@on_both
@pytest.mark.parametrize("seed", range(CANCELLATIONS))
def test_a_cancellation_at_any_moment_leaves_no_process(
    loop: Callable[..., Any], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - it decides a moment, no key
    cancel_at_random(loop, tmp_path, chance)
