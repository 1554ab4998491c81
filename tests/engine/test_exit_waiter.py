"""Real: waiting for the end of one process without reaping it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from proctree_kill._engine.process import ExitWaiter
from support.nodes import Node
from support.planter import Planter

pytestmark = pytest.mark.needs("fork")


@pytest.fixture
def child() -> Iterator[tuple[int, int]]:
    """Fork a child that lives as long as a pipe is open; yield its pid and the pipe."""
    reading, writing = os.pipe()
    if not (pid := os.fork()):
        os.close(writing)
        os.read(reading, 1)
        os._exit(7)
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as stdin:
        yield pid, stdin.fileno()
    os.waitpid(pid, 0)


def let_go(stdin: int) -> None:
    """Let the child end, and keep the number of the descriptor."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stdin)
    os.close(null)


def test_a_living_process_is_told_from_an_ended_one(child: tuple[int, int]) -> None:
    pid, stdin = child
    with ExitWaiter(pid) as waiter:
        assert not waiter.wait(0)
        let_go(stdin)
        assert waiter.wait()
        assert waiter.wait(0)


def test_a_dead_process_is_left_to_be_reaped_by_its_owner(child: tuple[int, int]) -> None:
    pid, stdin = child
    let_go(stdin)
    with ExitWaiter(pid) as waiter:
        assert waiter.wait(20)
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert found is not None
    assert found.si_status == 7


def test_a_zombie_has_ended_before_the_wait_begins(child: tuple[int, int]) -> None:
    pid, stdin = child
    let_go(stdin)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with ExitWaiter(pid) as waiter:
        assert waiter.wait(0)


def test_a_number_of_no_process_is_that_of_an_ended_process(plant: Planter) -> None:
    tree = plant(Node(name="root", dies=True))
    tree.root.wait()
    with ExitWaiter(tree.root.pid) as waiter:
        assert waiter.wait()


@pytest.mark.parametrize("seconds", [None, float("inf"), 1e12])
def test_a_wait_without_an_end_is_woken_from_another_thread(
    child: tuple[int, int], seconds: float | None
) -> None:
    with ExitWaiter(child[0]) as waiter:
        waker = threading.Thread(target=waiter.wake)
        waker.start()
        assert not waiter.wait(seconds)
        waker.join()


def test_a_wait_that_was_woken_beforehand_does_not_begin(child: tuple[int, int]) -> None:
    with ExitWaiter(child[0]) as waiter:
        waiter.wake()
        assert not waiter.wait()


def test_to_wake_after_the_end_does_nothing(child: tuple[int, int]) -> None:
    waiter = ExitWaiter(child[0])
    waiter.close()
    waiter.wake()
