"""Real: the promised numbers of sessions, deaths of owners and cancellations."""

from __future__ import annotations

import gc
import os
import random
from pathlib import Path

import pytest

from proctree_kill import KillPolicy, SessionManager, recover
from support.agents import HASTY, PATIENT, files
from support.cancellations import cancel_at_random
from support.churn import churn, hang
from support.counts import (
    SOAK_CANCELLATIONS,
    SOAK_CHURN,
    SOAK_DEATHS,
    SOAK_HUNG,
    SOAK_OTHERS,
    SOAK_RACES,
)
from support.deaths import NEVER, die_at
from support.listener import Listener
from support.loops import on_asyncio, on_trio
from support.memory import open_files, resident
from support.planter import Planter
from support.threads import in_thread, running_threads, wait_for_new_threads
from support.timeouts import Timers, race
from support.times import LONG

pytestmark = [pytest.mark.soak, pytest.mark.needs("fork")]

A_MEGABYTE = 1 << 20
ROUNDS = 5


def test_an_owner_killed_at_any_step_leaves_whole_files_and_no_unknown_process(
    tmp_path: Path,
) -> None:
    with Planter() as plant:
        steps = die_at(NEVER, plant, tmp_path / "quiet").steps
    for index in range(SOAK_DEATHS):
        with Planter() as plant:
            death = die_at(index % steps, plant, tmp_path / str(index))
            assert death.dead, f"a process was left after a death before step {index % steps}"
            assert not [name for name in death.rest if not name.endswith(".tmp")]


@pytest.mark.needs("procfs")
def test_sessions_that_come_and_go_in_many_threads_leave_nothing(tmp_path: Path) -> None:
    threads = running_threads()

    def round_of(count: int) -> None:
        with SessionManager(tmp_path, policy=PATIENT, event_broadcaster=Listener()) as manager:
            churn(manager, count)
        wait_for_new_threads(threads)

    round_of(SOAK_CHURN)  # whatever is loaded and kept once
    descriptors, memory = open_files(), resident()
    for _ in range(ROUNDS):
        round_of(SOAK_CHURN)
    gc.collect()
    assert open_files() <= descriptors  # what earlier tests left open may be closed meanwhile
    assert resident() - memory < 5 * A_MEGABYTE
    assert files(tmp_path) == set()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_fifty_hung_sessions_are_stopped_at_the_same_time(
    tmp_path: Path, listener: Listener
) -> None:
    manager = SessionManager(tmp_path, policy=KillPolicy(grace=LONG), event_broadcaster=listener)
    names = hang(manager, SOAK_HUNG)
    stopping = in_thread(manager.stop_all)
    for name in names:
        listener.wait("stopping", name)  # none has ended: each would wait for the others' grace
    assert {*manager.stop_all()} == {*names}  # the second stop forces
    assert {result.method for result in stopping().values()} == {"killed"}
    assert files(tmp_path) == set()


def test_a_hung_session_that_is_stopped_delays_no_other(tmp_path: Path, listener: Listener) -> None:
    manager = SessionManager(tmp_path, policy=KillPolicy(grace=LONG), event_broadcaster=listener)
    (hung,) = hang(manager, 1)
    stopping = in_thread(lambda: manager.stop_agent(hung))
    listener.wait("stopping", hung)
    for number in range(SOAK_OTHERS):
        manager.spawn_agent(str(number), ["sleep", "1000"])
        assert manager.stop_agent(str(number)).method == "terminated"
    assert listener.names(hung) == ["started", "stopping"]
    manager.stop_agent(hung)
    assert stopping().method == "killed"


def test_stops_exits_and_timeouts_at_once_agree(
    manager: SessionManager, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers = Timers(monkeypatch)
    for number in range(SOAK_RACES):
        race(manager, listener, timers, number)


def test_cancellations_at_any_moment_leave_no_process(tmp_path: Path) -> None:
    for seed in range(SOAK_CANCELLATIONS):
        chance = random.Random(seed)  # noqa: S311 - it decides a moment, no key
        cancel_at_random((on_asyncio, on_trio)[seed % 2], tmp_path, chance)
    assert recover(tmp_path, policy=HASTY).outcomes == ()
